import { selfProvider } from '../../auth/config/own-issuer.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import type { Handler } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { authenticateClient } from './oauth-client.ts'
import { readForm } from './form.ts'
import { makeGrants } from './grants.ts'
import { refuse, compileEndpoint } from './refusal.ts'

/** The token endpoint (RFC 6749 §3.2). Without a `grant_type` it is `password`, as clients of FastAPI's tutorial send it. */
export function makeToken(platform: Platform): Handler {
  const { tokens } = selfProvider(platform.authProviders).config
  const identity = makeIdentityClient(platform.identityStore)
  const grants = makeGrants(platform, tokens)
  return compileEndpoint('POST', async (x) => {
    const form = await readForm(x)
    if (form instanceof Response) return form
    const asked = form.get('grant_type') ?? 'password'
    const grant = tokens.grants.find((name) => name === asked)
    if (grant === undefined) return refuse('grant-unsupported')
    const asOf = platform.now()
    const client = await authenticateClient(x, form, identity)
    if (client instanceof Response) return client
    if (client && !client.grants.includes(grant)) return refuse('grant-not-allowed')
    return grants[grant]({ x, form, client, asOf })
  })
}
