import { ownIssuerOf } from '../../auth/config/auth-provider.ts'
import type { Exchange, Identity } from '../../core/exchange.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import { sessionOfRefreshToken } from '../../identity/password.ts'
import type { OAuthClient, User } from '../../identity/types.ts'
import type { Handler } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { authenticateOAuthClient, invalidOAuthClient } from './oauth-client.ts'
import { oauthError, compileEndpoint, readForm } from './endpoint.ts'
import { compileRevocationCheck } from '../../auth/revocation/revocation-check.ts'
import { PROBLEMS, type ProblemCode } from '../../core/problem.ts'
import { authenticatorOf } from '../../auth/authenticators.ts'

/** What is said of a token (RFC 7662 §2.2); undefined for one that is not active, whatever the reason. */
type Said = Readonly<Record<string, unknown>> | 'unavailable' | undefined

/** Introspection (RFC 7662) for whoever the route's `auth` lets in, and without it for clients with a secret. */
export function makeIntrospect(platform: Platform): Handler {
  const identity = makeIdentityClient(platform.identityStore)
  const ofAccess = makeAccessAnswer(platform)
  const ofRefresh = makeRefreshAnswer(platform)
  return compileEndpoint('POST', async (x) => {
    const form = await readForm(x)
    if (form instanceof Response) return form
    const client = await authenticateOAuthClient(x, form, identity)
    if (client instanceof Response) return client
    if (x.identity === undefined && !client?.confidential) return invalidOAuthClient()
    const token = form.get('token')
    if (token === undefined) return oauthError('form-invalid', 'token is required')
    const said = sessionOfRefreshToken(token) === undefined ? await ofAccess(token, x) : await ofRefresh(token)
    if (said === 'unavailable') return oauthError('state-unavailable')
    const body = said === undefined ? { active: false } : { active: true, ...said }
    return Response.json(body, { headers: { 'cache-control': 'no-store' } })
  })
}

/** Stricter than a route: user and client are asked for, so that one who was disabled this second has no active token. */
function makeAccessAnswer(platform: Platform): (token: string, x: Exchange) => Promise<Said> {
  const identity = makeIdentityClient(platform.identityStore)
  const readOwnToken = makeOwnTokenVerifier(platform)
  return async (token, x) => {
    const found = await readOwnToken(token, x)
    if (typeof found !== 'object') return found
    const said = { token_type: 'Bearer', ...found.claims }
    const { username, client_id: clientId } = found.claims
    const holders = await Promise.all([
      typeof username === 'string' ? identity.getUser(username) : undefined,
      typeof clientId === 'string' ? identity.getOAuthClient(clientId) : undefined,
    ])
    if (holders.includes('unavailable')) return 'unavailable'
    return holders.some((holder) => holder === 'unknown' || isDisabled(holder)) ? undefined : said
  }
}

const isDisabled = (holder: User | OAuthClient | string | undefined) => typeof holder === 'object' && holder.disabled

function makeRefreshAnswer(platform: Platform): (token: string) => Promise<Said> {
  const identity = makeIdentityClient(platform.identityStore)
  const { issuer } = ownIssuerOf(platform.authProviders).config
  return async (token) => {
    const family = await identity.findSession(token)
    if (typeof family === 'string') return family === 'unknown' ? undefined : family
    const { username, clientId, scopes, startedAt, expiresAt } = family
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

/** What an access token of this gateway says, once verified; undefined for one that is over or revoked, and for any other text. */
export type VerifyOwnToken = (token: string, x: Exchange) => Promise<Identity | 'unavailable' | undefined>

/** A token in a form is judged as one in a header is: by the provider with `"keys": "self"`. */
export function makeOwnTokenVerifier(platform: Platform): VerifyOwnToken {
  const authenticator = authenticatorOf(platform, ownIssuerOf(platform.authProviders).name)
  const revocationOf = compileRevocationCheck(platform)
  return async (token, x) => {
    // What cannot stand in a header is no token.
    if (!/^[\w.-]+$/.test(token)) return undefined
    const found = await authenticator.authenticate({
      ...x,
      signal: x.signal,
      headers: { authorization: `Bearer ${token}` },
    })
    if (typeof found !== 'object') return refusalOf(found)
    const refusal = await revocationOf?.(found, x)
    return refusal === undefined ? found.identity : refusalOf(refusal)
  }
}

function refusalOf(code: ProblemCode | undefined): 'unavailable' | undefined {
  return code !== undefined && PROBLEMS[code][0] === 503 ? 'unavailable' : undefined
}
