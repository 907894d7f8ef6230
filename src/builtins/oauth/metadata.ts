import { ownIssuerOf } from '../../auth/config/auth-provider.ts'
import type { Handler } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { compileEndpoint } from './endpoint.ts'
import { signingKeysOf } from '../../identity/client.ts'
import { problem } from '../../core/problem.ts'

const WITH_SECRET = ['client_secret_basic', 'client_secret_post']
const WITHOUT = [...WITH_SECRET, 'none']

/** What clients may know of this authorization server (RFC 8414 §2); addresses are those of this file's routes at the issuer's own. */
export function makeMetadata({ authProviders, oauthPaths }: Platform): Handler {
  const { issuer, tokens } = ownIssuerOf(authProviders).config
  const at = (path: string | undefined) => path && new URL(path, issuer).href
  const { token, revoke, introspect, jwks } = oauthPaths
  const body = JSON.stringify({
    issuer,
    token_endpoint: at(token),
    jwks_uri: at(jwks),
    // Required although there is no authorization endpoint.
    response_types_supported: [],
    grant_types_supported: tokens.grants,
    token_endpoint_auth_methods_supported: WITHOUT,
    ...(revoke && { revocation_endpoint: at(revoke), revocation_endpoint_auth_methods_supported: WITHOUT }),
    ...(introspect && {
      introspection_endpoint: at(introspect),
      introspection_endpoint_auth_methods_supported: WITH_SECRET,
    }),
  })
  const headers = { 'content-type': 'application/json', 'cache-control': 'public, max-age=3600' }
  return compileEndpoint('GET', async () => new Response(body, { headers }))
}

/** The next key is published long before it signs; a key that leaked and was replaced is still believed for so long elsewhere. */
const MAX_AGE_SECONDS = 300

/** The public keys of the tokens that this gateway issues (RFC 7517 §5). */
export function makeJwksEndpoint(platform: Platform): Handler {
  const ownKeys = signingKeysOf(platform)
  return compileEndpoint('GET', async () => {
    const keys = await ownKeys()
    if (keys === undefined) return problem('state-unavailable', { headers: { 'retry-after': '1' } })
    return Response.json(
      { keys: keys.published },
      { headers: { 'cache-control': `public, max-age=${MAX_AGE_SECONDS}` } },
    )
  })
}
