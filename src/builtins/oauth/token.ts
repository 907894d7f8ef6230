import type { TokensConfig } from '../../auth/config/jwt.ts'
import { ownIssuerOf } from '../../auth/issuers.ts'
import type { Exchange } from '../../core/exchange.ts'
import type { Handler } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { makeIdentityClient, makeLoginGuardClient, signingKeysOf } from '../../identity/client.ts'
import { reserveHashSlot, verifyPassword } from '../../identity/password.ts'
import type { Grant, OAuthClient, User } from '../../identity/types.ts'
import { sleep } from '../../lib/time.ts'
import { makeAccessTokenIssuer } from './access-token.ts'
import { compileEndpoint, oauthError, readForm, type Form } from './endpoint.ts'
import { authenticateOAuthClient, invalidOAuthClient } from './oauth-client.ts'

/** A request to the token endpoint. Its OAuth client, if it names one, is authenticated and may use the grant. */
interface TokenRequest {
  readonly x: Exchange
  readonly form: Form
  readonly oauthClient: OAuthClient | undefined
  /** A time before anything of the OAuth client or the user was read, in epoch milliseconds. */
  readonly asOf: number
}

type GrantHandler = (request: TokenRequest) => Promise<Response>

/** The token endpoint (RFC 6749 §3.2). The grant is `password` without a `grant_type`, because clients of FastAPI's tutorial send none. */
export function makeToken(platform: Platform): Handler {
  const { tokens } = ownIssuerOf(platform.authProviders).config
  const identity = makeIdentityClient(platform.identityStore)
  const handlers: Readonly<Record<Grant, GrantHandler>> = {
    password: makePasswordGrant(platform, tokens),
    client_credentials: makeClientCredentialsGrant(platform),
    refresh_token: makeRefreshGrant(platform, tokens),
  }
  return compileEndpoint('POST', async (x) => {
    const form = await readForm(x)
    if (form instanceof Response) return form
    const grantType = form.get('grant_type') ?? 'password'
    const grant = tokens.grants.find((name) => name === grantType)
    if (grant === undefined) return oauthError('grant-unsupported')
    const asOf = platform.now()
    const oauthClient = await authenticateOAuthClient(x, form, identity)
    if (oauthClient instanceof Response) return oauthClient
    if (oauthClient && !oauthClient.grants.includes(grant)) return oauthError('grant-not-allowed')
    return handlers[grant]({ x, form, oauthClient, asOf })
  })
}

/** RFC 6749 §4.3. */
function makePasswordGrant(platform: Platform, tokens: TokensConfig): GrantHandler {
  const identity = makeIdentityClient(platform.identityStore)
  const logIn = makeLogIn(platform)
  const issue = makeAccessTokenIssuer(platform)
  const lifetimes = sessionLifetimes(platform, tokens)
  const startsSession = (scope: string | undefined, oauthClient: OAuthClient | undefined) =>
    tokens.grants.includes('refresh_token') &&
    (tokens.refreshTokens === 'always' || requestsRefreshToken(scope)) &&
    (oauthClient === undefined || oauthClient.grants.includes('refresh_token'))

  return async ({ x, form, oauthClient, asOf }) => {
    const [name, password, scope] = [form.get('username'), form.get('password'), form.get('scope')]
    if (name === undefined || password === undefined)
      return oauthError('form-invalid', 'username and password are required')
    const login = await logIn(name, password, x)
    if (login instanceof Response) return login
    const { user, passwordHash } = login
    const { username, roles } = user
    const clientId = oauthClient?.clientId ?? ''
    const scopes = grantScopes(scope, scopesThrough(oauthClient, user.scopes))
    if (scopes === undefined) return oauthError('scope-invalid')
    const content = { subject: username, username, clientId, scopes, roles, asOf }
    if (!startsSession(scope, oauthClient)) return issue(content)
    const started = await identity.startSession({ username, passwordHash, clientId, scopes, ...lifetimes })
    // `unknown`: the user was disabled, removed or got another password since the password was verified.
    if (typeof started === 'string')
      return oauthError(started === 'unavailable' ? 'state-unavailable' : 'grant-invalid')
    return issue({ ...content, sessionId: started.session.id }, started.token)
  }
}

function sessionLifetimes(platform: Platform, { refreshTtl, sessionTtl, accessTtl }: TokensConfig) {
  const { clockSkew } = ownIssuerOf(platform.authProviders).config
  return { idleMs: refreshTtl, lifeMs: sessionTtl, accessMs: accessTtl + clockSkew }
}

/** RFC 6749 §4.4. */
function makeClientCredentialsGrant(platform: Platform): GrantHandler {
  const issue = makeAccessTokenIssuer(platform)
  return async ({ form, oauthClient, asOf }) => {
    if (!oauthClient?.confidential) return invalidOAuthClient()
    const { clientId, roles } = oauthClient
    const scopes = grantScopes(form.get('scope'), oauthClient.scopes)
    return scopes === undefined
      ? oauthError('scope-invalid')
      : issue({ subject: clientId, clientId, scopes, roles, asOf })
  }
}

/** RFC 6749 §6, with rotation (RFC 9700 §4.14.2). Everything else is checked before the token is used up, because a client cannot use it twice. */
function makeRefreshGrant(platform: Platform, { refreshTtl }: TokensConfig): GrantHandler {
  const identity = makeIdentityClient(platform.identityStore)
  const issue = makeAccessTokenIssuer(platform)
  const signingKeys = signingKeysOf(platform)
  return async ({ form, oauthClient, asOf }) => {
    const clientId = oauthClient?.clientId ?? ''
    const token = form.get('refresh_token')
    if (token === undefined) return oauthError('form-invalid', 'refresh_token is required')
    const session = await identity.findSession(token)
    if (session === 'unavailable') return oauthError('state-unavailable')
    // Not a live token. If it was used before, this call ends its session.
    if (session === 'unknown') {
      const rotated = await identity.rotateRefreshToken(token, clientId, refreshTtl)
      return oauthError(rotated === 'unavailable' ? 'state-unavailable' : 'grant-invalid')
    }
    const user = await identity.getUser(session.username)
    if (user === 'unavailable' || (await signingKeys()) === undefined) return oauthError('state-unavailable')
    if (user === 'unknown' || user.disabled) return oauthError('grant-invalid')
    const allowed = scopesThrough(oauthClient, user.scopes).filter((scope) => session.scopes.includes(scope))
    const scopes = grantScopes(form.get('scope'), allowed)
    if (scopes === undefined) return oauthError('scope-invalid')
    const rotated = await identity.rotateRefreshToken(token, clientId, refreshTtl)
    if (typeof rotated === 'string')
      return oauthError(rotated === 'unavailable' ? 'state-unavailable' : 'grant-invalid')
    const { username, roles } = user
    return issue({ subject: username, username, clientId, scopes, roles, sessionId: session.id, asOf }, rotated.token)
  }
}

/** The scope that requests a refresh token (OpenID Connect Core §11). It is not granted as a scope. */
const OFFLINE_ACCESS = 'offline_access'

/** The scopes to grant for a `scope` parameter (RFC 6749 §3.3): all allowed ones without a parameter; undefined when it names one that is not allowed. */
function grantScopes(scope: string | undefined, allowed: readonly string[]): readonly string[] | undefined {
  const requested = [...new Set((scope ?? '').split(' ').filter((word) => word !== '' && word !== OFFLINE_ACCESS))]
  if (requested.length === 0) return allowed
  return requested.every((word) => allowed.includes(word)) ? requested : undefined
}

function requestsRefreshToken(scope: string | undefined): boolean {
  return (scope ?? '').split(' ').includes(OFFLINE_ACCESS)
}

/** The user's scopes that an OAuth client has too; all of them without an OAuth client. */
function scopesThrough(oauthClient: OAuthClient | undefined, scopes: readonly string[]): readonly string[] {
  return oauthClient === undefined ? scopes : scopes.filter((scope) => oauthClient.scopes.includes(scope))
}

/** The user, and the hash that the password was verified against. A session starts only while that is still the user's. */
interface Login {
  readonly user: User
  readonly passwordHash: string
}

/** The enabled user with this name and password, or the error response. */
type LogIn = (username: string, password: string, x: Exchange) => Promise<Login | Response>

/**
 * Every login takes the same steps, whether or not the user exists, the password is right and the network is locked. So neither the response
 * nor its time tells these apart, except the response to the right password.
 */
function makeLogIn(platform: Pick<Platform, 'identityStore' | 'loginGuards' | 'now'>): LogIn {
  const identity = makeIdentityClient(platform.identityStore)
  const decideLogin = makeLoginGuardClient(platform)
  return async (username, password, x) => {
    // Two encodings of a character are one name, as they are one password.
    const name = username.normalize('NFC')
    // First, so that a login for which no slot is free costs the store nothing.
    if (!(await reserveHashSlot(platform))) return oauthError('login-busy')
    const found = await identity.userCredentials(name)
    if (found === 'unavailable') return oauthError('state-unavailable')
    const { user, passwordHash } = found === 'unknown' ? { user: undefined, passwordHash: undefined } : found
    const passwordMatches = verifyPassword(password, passwordHash, platform)
    const decision = await decideLogin(name, x.client.ip, passwordMatches && user !== undefined)
    if (decision === undefined) return oauthError('state-unavailable')
    if (decision.delayMs > 0) await sleep(decision.delayMs)
    if (!decision.allowed || !user || passwordHash === undefined)
      return oauthError('login-failed', 'Incorrect username or password', { 'www-authenticate': 'Bearer' })
    return user.disabled ? oauthError('inactive-user', 'Inactive user') : { user, passwordHash }
  }
}
