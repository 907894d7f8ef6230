import { ownIssuerOf } from '../../auth/config/auth-provider.ts'
import type { TokensConfig } from '../../identity/config.ts'
import type { Exchange } from '../../core/exchange.ts'
import { makeIdentityClient, signingKeysOf, makeLoginGuardClient } from '../../identity/client.ts'
import type { OAuthClient, Grant, User } from '../../identity/types.ts'
import type { Platform } from '../../core/platform.ts'
import { invalidOAuthClient, authenticateOAuthClient } from './oauth-client.ts'
import { makeAccessTokenIssuer } from './access-token.ts'
import { oauthError, compileEndpoint, type Form, readForm } from './endpoint.ts'
import type { Handler } from '../../core/pipeline.ts'
import { reserveHashSlot, verifyPassword } from '../../identity/password.ts'

/** A request to the token endpoint: its client, if it names one, is authenticated and may use this grant. */
export interface TokenRequest {
  readonly x: Exchange
  readonly form: Form
  readonly oauthClient: OAuthClient | undefined
  /** Epoch milliseconds, before anything of the client or the user was read. */
  readonly asOf: number
}

type GrantAnswer = (ask: TokenRequest) => Promise<Response>

/** How each grant is answered. */
export function makeGrantHandlers(platform: Platform, tokens: TokensConfig): Readonly<Record<Grant, GrantAnswer>> {
  return {
    password: makePasswordGrant(platform, tokens),
    client_credentials: makeClientGrant(platform),
    refresh_token: makeRefreshGrant(platform, tokens),
  }
}

/** RFC 6749 §4.3. */
function makePasswordGrant(platform: Platform, tokens: TokensConfig): GrantAnswer {
  const identity = makeIdentityClient(platform.identityStore)
  const logIn = makeLogIn(platform)
  const issue = makeAccessTokenIssuer(platform)
  const life = familyLife(platform, tokens)
  const wantsFamily = (scope: string | undefined, client: OAuthClient | undefined) =>
    tokens.grants.includes('refresh_token') &&
    (tokens.refreshTokens === 'always' || asksForRefresh(scope)) &&
    (client === undefined || client.grants.includes('refresh_token'))

  return async ({ x, form, oauthClient: client, asOf }) => {
    const [name, password, asked] = [form.get('username'), form.get('password'), form.get('scope')]
    if (name === undefined || password === undefined)
      return oauthError('form-invalid', 'username and password are required')
    const found = await logIn(name, password, x)
    if (found instanceof Response) return found
    const { user, passwordHash } = found
    const { username, roles } = user
    const clientId = client?.clientId ?? ''
    const scopes = grantScopes(asked, scopesThrough(client, user.scopes))
    if (scopes === undefined) return oauthError('scope-invalid')
    const bearer = { subject: username, username, clientId, scopes, roles, asOf }
    if (!wantsFamily(asked, client)) return issue(bearer)
    const started = await identity.startSession({ username, passwordHash, clientId, scopes, ...life })
    // Whoever was disabled, removed or given another password at this moment gets what he will get from now on.
    if (typeof started === 'string')
      return oauthError(started === 'unavailable' ? 'state-unavailable' : 'grant-invalid')
    return issue({ ...bearer, sessionId: started.session.id }, started.token)
  }
}

function familyLife(platform: Platform, { refreshTtl, sessionTtl, accessTtl }: TokensConfig) {
  const { clockSkew } = ownIssuerOf(platform.authProviders).config
  return { idleMs: refreshTtl, lifeMs: sessionTtl, accessMs: accessTtl + clockSkew }
}

/** RFC 6749 §4.4. */
function makeClientGrant(platform: Platform): GrantAnswer {
  const issue = makeAccessTokenIssuer(platform)
  return async ({ form, oauthClient: client, asOf }) => {
    if (!client?.confidential) return invalidOAuthClient()
    const { clientId, roles } = client
    const scopes = grantScopes(form.get('scope'), client.scopes)
    return scopes === undefined
      ? oauthError('scope-invalid')
      : issue({ subject: clientId, clientId, scopes, roles, asOf })
  }
}

/** RFC 6749 §6, with rotation (RFC 9700 §4.14.2). What can fail is tried before the token is spent: a client cannot show it twice. */
function makeRefreshGrant(platform: Platform, { refreshTtl }: TokensConfig): GrantAnswer {
  const identity = makeIdentityClient(platform.identityStore)
  const issue = makeAccessTokenIssuer(platform)
  const ownKeys = signingKeysOf(platform)
  return async ({ form, oauthClient: client, asOf }) => {
    const clientId = client?.clientId ?? ''
    const shown = form.get('refresh_token')
    if (shown === undefined) return oauthError('form-invalid', 'refresh_token is required')
    const family = await identity.findSession(shown)
    if (family === 'unavailable') return oauthError('state-unavailable')
    // Not the live one: the store ends the family if it ever was.
    if (family === 'unknown') {
      const spent = await identity.rotateRefreshToken(shown, clientId, refreshTtl)
      return oauthError(spent === 'unavailable' ? 'state-unavailable' : 'grant-invalid')
    }
    const user = await identity.getUser(family.username)
    if (user === 'unavailable' || (await ownKeys()) === undefined) return oauthError('state-unavailable')
    if (user === 'unknown' || user.disabled) return oauthError('grant-invalid')
    const allowed = scopesThrough(client, user.scopes).filter((scope) => family.scopes.includes(scope))
    const scopes = grantScopes(form.get('scope'), allowed)
    if (scopes === undefined) return oauthError('scope-invalid')
    const next = await identity.rotateRefreshToken(shown, clientId, refreshTtl)
    if (typeof next === 'string') return oauthError(next === 'unavailable' ? 'state-unavailable' : 'grant-invalid')
    const { username, roles } = user
    return issue({ subject: username, username, clientId, scopes, roles, sessionId: family.id, asOf }, next.token)
  }
}

/** The scope that asks for a refresh token (OpenID Connect Core §11); it is no right by itself. */
const OFFLINE = 'offline_access'

/** The scopes of a `scope` parameter (RFC 6749 §3.3), without `offline_access`. */
function words(asked: string | undefined): string[] {
  return (asked ?? '').split(' ').filter((word) => word !== '' && word !== OFFLINE)
}

/** What is granted of what may be: all of it when nothing is asked for, undefined when more is. */
export function grantScopes(asked: string | undefined, allowed: readonly string[]): readonly string[] | undefined {
  const scopes = [...new Set(words(asked))]
  if (scopes.length === 0) return allowed
  return scopes.every((scope) => allowed.includes(scope)) ? scopes : undefined
}

/** Whether a `scope` parameter names `offline_access`; false where there is no parameter. */
export function asksForRefresh(asked: string | undefined): boolean {
  return (asked ?? '').split(' ').includes(OFFLINE)
}

/** What a user may do through a client: no more than either of them may. Without a client, all that the user may. */
export function scopesThrough(
  client: { readonly scopes: readonly string[] } | undefined,
  scopes: readonly string[],
): readonly string[] {
  return client === undefined ? scopes : scopes.filter((scope) => client.scopes.includes(scope))
}

/** The token endpoint (RFC 6749 §3.2). Without a `grant_type` it is `password`, as clients of FastAPI's tutorial send it. */
export function makeToken(platform: Platform): Handler {
  const { tokens } = ownIssuerOf(platform.authProviders).config
  const identity = makeIdentityClient(platform.identityStore)
  const grants = makeGrantHandlers(platform, tokens)
  return compileEndpoint('POST', async (x) => {
    const form = await readForm(x)
    if (form instanceof Response) return form
    const asked = form.get('grant_type') ?? 'password'
    const grant = tokens.grants.find((name) => name === asked)
    if (grant === undefined) return oauthError('grant-unsupported')
    const asOf = platform.now()
    const client = await authenticateOAuthClient(x, form, identity)
    if (client instanceof Response) return client
    if (client && !client.grants.includes(grant)) return oauthError('grant-not-allowed')
    return grants[grant]({ x, form, oauthClient: client, asOf })
  })
}

/** Whose password it was, and the hash that it was held against: another one by now means that it is over. */
interface LoggedIn {
  readonly user: User
  readonly passwordHash: string
}

/** The enabled user who has this name and this password, or the refusal. */
export type LogIn = (username: string, password: string, x: Exchange) => Promise<LoggedIn | Response>

/**
 * Every login goes the same way, whether its user exists, its password is right, or its network is locked: nothing but the answer to the right password
 * tells one from the other, neither words nor time.
 */
export function makeLogIn(platform: Pick<Platform, 'identityStore' | 'loginGuards' | 'now'>): LogIn {
  const identity = makeIdentityClient(platform.identityStore)
  const judgeLogin = makeLoginGuardClient(platform)
  return async (username, password, x) => {
    // Two spellings of one character are one name, as they are one password.
    const name = username.normalize('NFC')
    // First, so that whom there is no room for costs the store nothing.
    if (!(await reserveHashSlot(platform))) return oauthError('login-busy')
    const found = await identity.userCredentials(name)
    if (found === 'unavailable') return oauthError('state-unavailable')
    const { user, passwordHash } = found === 'unknown' ? { user: undefined, passwordHash: undefined } : found
    const isRight = verifyPassword(password, passwordHash, platform)
    const verdict = await judgeLogin(name, x.client.ip, isRight && user !== undefined)
    if (verdict === undefined) return oauthError('state-unavailable')
    if (verdict.delayMs > 0) await new Promise((passed) => setTimeout(passed, verdict.delayMs))
    if (!verdict.allowed || !user || passwordHash === undefined)
      return oauthError('login-failed', 'Incorrect username or password', { 'www-authenticate': 'Bearer' })
    return user.disabled ? oauthError('inactive-user', 'Inactive user') : { user, passwordHash }
  }
}
