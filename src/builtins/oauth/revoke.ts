import { ownIssuerOf } from '../../auth/issuers.ts'
import type { Exchange } from '../../core/exchange.ts'
import type { Handler } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import { sessionOfRefreshToken } from '../../identity/password.ts'
import type { OAuthClient } from '../../identity/types.ts'
import { compileEndpoint, oauthError, readForm } from './endpoint.ts'
import { makeOwnTokenVerifier } from './introspect.ts'
import { authenticateOAuthClient } from './oauth-client.ts'

/** The result of a revocation. `unavailable` also when the feed is full, because the token is still valid then. */
type Outcome = 'done' | 'other-client' | 'unavailable'

type RevokeAccess = (token: string, oauthClient: OAuthClient | undefined, x: Exchange) => Promise<Outcome>

/**
 * The revocation endpoint (RFC 7009): revokes a refresh token with its whole session, or one access token. The response for an invalid token
 * is the same. `token_type_hint` is ignored.
 */
export function makeRevoke(platform: Platform): Handler {
  const identity = makeIdentityClient(platform.identityStore)
  const revokeAccess = makeRevokeAccess(platform)
  const revokeRefreshToken = async (token: string, oauthClient: OAuthClient | undefined): Promise<Outcome> => {
    const revoked = await identity.revokeRefreshToken(token, oauthClient?.clientId ?? '')
    return revoked === 'revoked' || revoked === 'unknown' ? 'done' : 'unavailable'
  }
  return compileEndpoint('POST', async (x) => {
    const form = await readForm(x)
    if (form instanceof Response) return form
    const oauthClient = await authenticateOAuthClient(x, form, identity)
    if (oauthClient instanceof Response) return oauthClient
    const token = form.get('token')
    if (token === undefined) return oauthError('form-invalid', 'token is required')
    const isRefresh = sessionOfRefreshToken(token) !== undefined
    const outcome = isRefresh ? await revokeRefreshToken(token, oauthClient) : await revokeAccess(token, oauthClient, x)
    if (outcome === 'unavailable') return oauthError('state-unavailable')
    if (outcome === 'other-client') return oauthError('grant-not-allowed', 'the token was issued to another client')
    return new Response(null, { headers: { 'cache-control': 'no-store' } })
  })
}

function makeRevokeAccess(platform: Platform): RevokeAccess {
  const identity = makeIdentityClient(platform.identityStore)
  const { clockSkew } = ownIssuerOf(platform.authProviders).config
  const verifyOwnToken = makeOwnTokenVerifier(platform)
  return async (token, oauthClient, x) => {
    const found = await verifyOwnToken(token, x)
    if (found === 'unavailable') return 'unavailable'
    if (found === undefined) return 'done'
    const { jti, exp, client_id: issuedTo } = found.claims
    // Any holder may revoke a token that was issued to no OAuth client.
    if (issuedTo !== undefined && issuedTo !== oauthClient?.clientId) return 'other-client'
    const revoked = await identity.revoke({ jti: String(jti) }, Number(exp) * 1000 + clockSkew, 'holder')
    return revoked === 'revoked' ? 'done' : 'unavailable'
  }
}
