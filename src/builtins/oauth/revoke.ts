import { ownIssuerOf } from '../../auth/config/auth-provider.ts'
import type { Exchange } from '../../core/exchange.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import { sessionOfRefreshToken } from '../../identity/password.ts'
import type { OAuthClient } from '../../identity/types.ts'
import type { Handler } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { authenticateOAuthClient } from './oauth-client.ts'
import { makeOwnTokenVerifier } from './introspect.ts'
import { oauthError, compileEndpoint, readForm } from './endpoint.ts'

/** What revoking came to; `unavailable` also when the store has no room: the token is still good then, and its holder must know. */
type Outcome = 'done' | 'another-client' | 'unavailable'

type RevokeAccess = (token: string, client: OAuthClient | undefined, x: Exchange) => Promise<Outcome>

/**
 * Revocation (RFC 7009): of a refresh token with all that came of its login, or of one access token. A token that is not good, or never was one, is
 * answered alike; `token_type_hint` is not needed.
 */
export function makeRevoke(platform: Platform): Handler {
  const identity = makeIdentityClient(platform.identityStore)
  const revokeAccess = makeRevokeAccess(platform)
  const revokeRefreshToken = async (token: string, client: OAuthClient | undefined): Promise<Outcome> => {
    const revoked = await identity.revokeRefreshToken(token, client?.clientId ?? '')
    return revoked === 'revoked' || revoked === 'unknown' ? 'done' : 'unavailable'
  }
  return compileEndpoint('POST', async (x) => {
    const form = await readForm(x)
    if (form instanceof Response) return form
    const client = await authenticateOAuthClient(x, form, identity)
    if (client instanceof Response) return client
    const token = form.get('token')
    if (token === undefined) return oauthError('form-invalid', 'token is required')
    const isRefresh = sessionOfRefreshToken(token) !== undefined
    const outcome = isRefresh ? await revokeRefreshToken(token, client) : await revokeAccess(token, client, x)
    if (outcome === 'unavailable') return oauthError('state-unavailable')
    if (outcome === 'another-client') return oauthError('grant-not-allowed', 'the token was issued to another client')
    return new Response(null, { headers: { 'cache-control': 'no-store' } })
  })
}

function makeRevokeAccess(platform: Platform): RevokeAccess {
  const identity = makeIdentityClient(platform.identityStore)
  const { clockSkew } = ownIssuerOf(platform.authProviders).config
  const readOwnToken = makeOwnTokenVerifier(platform)
  return async (token, client, x) => {
    const found = await readOwnToken(token, x)
    if (found === 'unavailable') return 'unavailable'
    if (found === undefined) return 'done'
    const { jti, exp, client_id: issuedTo } = found.claims
    // Whoever holds a token that was issued to no client may give it up.
    if (issuedTo !== undefined && issuedTo !== client?.clientId) return 'another-client'
    const revoked = await identity.revoke({ jti: String(jti) }, Number(exp) * 1000 + clockSkew, 'holder')
    return revoked === 'revoked' ? 'done' : 'unavailable'
  }
}
