import type { Handler } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { makeIntrospect } from './oauth/introspect.ts'
import { makeMetadata, makeJwksEndpoint } from './oauth/metadata.ts'
import { makeRevoke } from './oauth/revoke.ts'
import { makeToken } from './oauth/token.ts'
import { ownIssuerOf } from '../auth/config/auth-provider.ts'
import { makeIdentityClient } from '../identity/client.ts'
import { problem } from '../core/problem.ts'
import { compileEndpoint } from './oauth/endpoint.ts'
import type { OAuthBuiltin } from '../identity/oauth-builtins.ts'

const MAKERS: Readonly<Record<OAuthBuiltin, (platform: Platform) => Handler>> = {
  token: makeToken,
  revoke: makeRevoke,
  introspect: makeIntrospect,
  userinfo: makeUserinfo,
  jwks: makeJwksEndpoint,
  metadata: makeMetadata,
}

/** The OAuth endpoints of the provider with `"keys": "self"`. */
export function makeOAuthBuiltin(builtin: OAuthBuiltin, platform: Platform): Handler {
  return MAKERS[builtin](platform)
}

/** Who the caller is, as the store knows it now: `GET /users/me` of FastAPI's tutorial. */
export function makeUserinfo(platform: Platform): Handler {
  const own = ownIssuerOf(platform.authProviders).name
  const store = makeIdentityClient(platform.identityStore)
  return compileEndpoint('GET', async ({ identity }) => {
    // Another issuer's `ada` is not ours, and neither is a client that acts for itself.
    const name = identity?.provider === own ? identity.claims.username : undefined
    const user = typeof name === 'string' ? await store.getUser(name) : 'unknown'
    if (user === 'unavailable') return problem('state-unavailable', { headers: { 'retry-after': '1' } })
    if (user === 'unknown') {
      const challenge = 'Bearer realm="api", error="invalid_token"'
      return problem('user-unknown', {
        detail: 'Could not validate credentials',
        headers: { 'www-authenticate': challenge },
      })
    }
    if (user.disabled) return problem('inactive-user', { detail: 'Inactive user' })
    const { username, email = null, fullName = null, disabled } = user
    return Response.json(
      { username, email, full_name: fullName, disabled },
      { headers: { 'cache-control': 'no-store' } },
    )
  })
}
