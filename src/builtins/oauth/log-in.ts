import { makeLoginGuard } from '../../identity/login-guard-client.ts'
import type { Exchange } from '../../core/exchange.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import { takeTurn, verifyPassword } from '../../identity/password.ts'
import type { User } from '../../identity/types.ts'
import type { Platform } from '../../core/platform.ts'
import { refuse } from './refusal.ts'

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
  const judgeLogin = makeLoginGuard(platform)
  return async (username, password, x) => {
    // Two spellings of one character are one name, as they are one password.
    const name = username.normalize('NFC')
    // First, so that whom there is no room for costs the store nothing.
    if (!(await takeTurn(platform))) return refuse('login-busy')
    const found = await identity.userCredentials(name)
    if (found === 'unavailable') return refuse('state-unavailable')
    const { user, passwordHash } = found === 'unknown' ? { user: undefined, passwordHash: undefined } : found
    const isRight = verifyPassword(password, passwordHash, platform)
    const verdict = await judgeLogin(name, x.client.ip, isRight && user !== undefined)
    if (verdict === undefined) return refuse('state-unavailable')
    if (verdict.delayMs > 0) await new Promise((passed) => setTimeout(passed, verdict.delayMs))
    if (!verdict.passes || !user || passwordHash === undefined)
      return refuse('login-failed', 'Incorrect username or password', { 'www-authenticate': 'Bearer' })
    return user.disabled ? refuse('inactive-user', 'Inactive user') : { user, passwordHash }
  }
}
