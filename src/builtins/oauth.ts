import { ownIssuerOf } from '../auth/issuers.ts'
import type { Handler } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { problem } from '../core/problem.ts'
import { makeIdentityClient } from '../identity/client.ts'
import type { OAuthBuiltin } from '../identity/oauth-builtins.ts'
import { compileEndpoint } from './oauth/endpoint.ts'
import { makeIntrospect } from './oauth/introspect.ts'
import { makeJwksEndpoint, makeMetadata } from './oauth/metadata.ts'
import { makeRevoke } from './oauth/revoke.ts'
import { makeToken } from './oauth/token.ts'

const BUILTINS: Readonly<Record<OAuthBuiltin, (platform: Platform) => Handler>> = {
  token: makeToken,
  revoke: makeRevoke,
  introspect: makeIntrospect,
  userinfo: makeUserinfo,
  jwks: makeJwksEndpoint,
  metadata: makeMetadata,
}

/** Makes an OAuth endpoint of the provider with `"keys": "self"`. */
export function makeOAuthBuiltin(builtin: OAuthBuiltin, platform: Platform): Handler {
  return BUILTINS[builtin](platform)
}

/** The caller's user as it is in the store now, like `GET /users/me` of FastAPI's tutorial. */
function makeUserinfo(platform: Platform): Handler {
  const ownProvider = ownIssuerOf(platform.authProviders).name
  const store = makeIdentityClient(platform.identityStore)
  return compileEndpoint('GET', async ({ identity }) => {
    // A user of another issuer is not in the store, and an OAuth client that acts for itself is not a user.
    const username = identity?.provider === ownProvider ? identity.claims.username : undefined
    const user = typeof username === 'string' ? await store.getUser(username) : 'unknown'
    if (user === 'unavailable') return problem('state-unavailable', { headers: { 'retry-after': '1' } })
    if (user === 'unknown') {
      const challenge = 'Bearer realm="api", error="invalid_token"'
      return problem('user-unknown', {
        detail: 'Could not validate credentials',
        headers: { 'www-authenticate': challenge },
      })
    }
    if (user.disabled) return problem('inactive-user', { detail: 'Inactive user' })
    const { email = null, fullName = null, disabled } = user
    return Response.json(
      { username: user.username, email, full_name: fullName, disabled },
      { headers: { 'cache-control': 'no-store' } },
    )
  })
}
