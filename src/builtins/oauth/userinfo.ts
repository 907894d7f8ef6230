import { selfProvider } from '../../auth/config/own-issuer.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import type { Handler } from '../../core/pipeline.ts'
import { problem } from '../../core/problem.ts'
import type { Platform } from '../../core/platform.ts'
import { compileEndpoint } from './refusal.ts'

/** Who the caller is, as the store knows it now: `GET /users/me` of FastAPI's tutorial. */
export function makeUserinfo(platform: Platform): Handler {
  const own = selfProvider(platform.authProviders).name
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
