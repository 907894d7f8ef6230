import { authenticatorOf } from '../../auth/authenticators.ts'
import { ownIssuerOf } from '../../auth/issuers.ts'
import { compileRevocationCheck } from '../../auth/revocation/revocation-check.ts'
import type { Exchange, Identity } from '../../core/exchange.ts'
import type { Handler } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { PROBLEMS, type ProblemCode } from '../../core/problem.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import { sessionOfRefreshToken } from '../../identity/password.ts'
import type { OAuthClient, RevocableToken, User } from '../../identity/types.ts'
import { compileEndpoint, oauthError, readForm } from './endpoint.ts'
import { authenticateOAuthClient, invalidOAuthClient } from './oauth-client.ts'

/** The members of the response for an active token (RFC 7662 §2.2); undefined for a token that is not active. */
type TokenInfo = Readonly<Record<string, unknown>> | 'unavailable' | undefined

/** The introspection endpoint (RFC 7662), for callers that the route's `auth` accepts, or without `auth` for OAuth clients with a secret. */
export function makeIntrospect(platform: Platform): Handler {
  const identity = makeIdentityClient(platform.identityStore)
  const accessTokenInfo = makeAccessTokenInfo(platform)
  const refreshTokenInfo = makeRefreshTokenInfo(platform)
  return compileEndpoint('POST', async (x) => {
    const form = await readForm(x)
    if (form instanceof Response) return form
    const oauthClient = await authenticateOAuthClient(x, form, identity)
    if (oauthClient instanceof Response) return oauthClient
    if (x.identity === undefined && !oauthClient?.confidential) return invalidOAuthClient()
    const token = form.get('token')
    if (token === undefined) return oauthError('form-invalid', 'token is required')
    const isAccessToken = sessionOfRefreshToken(token) === undefined
    const info = isAccessToken ? await accessTokenInfo(token, x) : await refreshTokenInfo(token)
    if (info === 'unavailable') return oauthError('state-unavailable')
    const body = info === undefined ? { active: false } : { active: true, ...info }
    return Response.json(body, { headers: { 'cache-control': 'no-store' } })
  })
}

/**
 * Stricter than `auth`, whose copy of the revocations may be five seconds old: asks the store, so that no token is active that was just revoked, or
 * whose user or OAuth client was just disabled.
 */
function makeAccessTokenInfo(platform: Platform): (token: string, x: Exchange) => Promise<TokenInfo> {
  const identity = makeIdentityClient(platform.identityStore)
  const verifyOwnToken = makeOwnTokenVerifier(platform)
  return async (token, x) => {
    const found = await verifyOwnToken(token, x)
    if (typeof found !== 'object') return found
    const info = { token_type: 'Bearer', ...found.claims }
    const { username, client_id: clientId } = found.claims
    const [isRevoked, ...accounts] = await Promise.all([
      identity.isTokenRevoked(revocablePartOf(found)),
      typeof username === 'string' ? identity.getUser(username) : undefined,
      typeof clientId === 'string' ? identity.getOAuthClient(clientId) : undefined,
    ])
    if (isRevoked === 'unavailable' || accounts.includes('unavailable')) return 'unavailable'
    if (isRevoked) return undefined
    return accounts.some((account) => account === 'unknown' || isDisabled(account)) ? undefined : info
  }
}

/** The gateway's own tokens have all of these; `sid` where the login started a session. */
function revocablePartOf({ issuer, subject, claims: { jti, sid, iat } }: Identity): RevocableToken {
  return {
    issuer,
    subject,
    jti: String(jti),
    sid: typeof sid === 'string' ? sid : undefined,
    issuedAt: Number(iat) * 1000,
  }
}

const isDisabled = (account: User | OAuthClient | string | undefined) => typeof account === 'object' && account.disabled

function makeRefreshTokenInfo(platform: Platform): (token: string) => Promise<TokenInfo> {
  const identity = makeIdentityClient(platform.identityStore)
  const { issuer } = ownIssuerOf(platform.authProviders).config
  return async (token) => {
    const session = await identity.findSession(token)
    if (typeof session === 'string') return session === 'unknown' ? undefined : session
    const { username, clientId, scopes, startedAt, expiresAt } = session
    return {
      token_type: 'refresh_token',
      iss: issuer,
      sub: username,
      username,
      ...(clientId !== '' && { client_id: clientId }),
      scope: scopes.join(' '),
      iat: Math.floor(startedAt / 1000),
      exp: Math.floor(expiresAt / 1000),
    }
  }
}

/** The identity of an access token that this gateway issued; undefined for an expired, revoked or invalid token. */
type VerifyOwnToken = (token: string, x: Exchange) => Promise<Identity | 'unavailable' | undefined>

/** Verifies a token from a form as `auth` verifies one from a header, with the provider that has `"keys": "self"`. */
export function makeOwnTokenVerifier(platform: Platform): VerifyOwnToken {
  const authenticator = authenticatorOf(platform, ownIssuerOf(platform.authProviders).name)
  const checkRevocation = compileRevocationCheck(platform)
  return async (token, x) => {
    // A text that is not valid in a header is not a token.
    if (!/^[\w.-]+$/.test(token)) return undefined
    const found = await authenticator.authenticate({
      ...x,
      signal: x.signal,
      headers: { authorization: `Bearer ${token}` },
    })
    if (typeof found !== 'object') return failureOf(found)
    const revoked = await checkRevocation?.(found, x)
    return revoked === undefined ? found.identity : failureOf(revoked)
  }
}

function failureOf(code: ProblemCode | undefined): 'unavailable' | undefined {
  return code !== undefined && PROBLEMS[code][0] === 503 ? 'unavailable' : undefined
}
