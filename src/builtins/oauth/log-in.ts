import { makeLoginGuard } from '../../auth/login-guard.ts'
import type { Exchange } from '../../exchange.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import { verifyPassword } from '../../identity/password.ts'
import type { User } from '../../identity/types.ts'
import type { Site } from '../../policy.ts'
import { refuse } from './refusal.ts'

/** The enabled user who has this name and this password, or the refusal. */
export type LogIn = (username: string, password: string, x: Exchange) => Promise<User | Response>

/**
 * Every login goes the same way, whether its user exists, its password is right, or its network is locked: nothing but the answer to the right password
 * tells one from the other, neither words nor time.
 */
export function makeLogIn(site: Pick<Site, 'identity' | 'logins' | 'now'>): LogIn {
  const identity = makeIdentityClient(site.identity)
  const judgeLogin = makeLoginGuard(site)
  return async (username, password, x) => {
    // Two spellings of one character are one name, as they are one password.
    const name = username.normalize('NFC')
    const found = await identity.userCredentials(name)
    if (found === 'unavailable') return refuse('state-unavailable')
    const { user, passwordHash } = found === 'unknown' ? { user: undefined, passwordHash: undefined } : found
    const isRight = await verifyPassword(password, passwordHash, site)
    if (isRight === 'busy') return refuse('login-busy')
    const verdict = await judgeLogin(name, x.client.ip, isRight && user !== undefined)
    if (verdict === undefined) return refuse('state-unavailable')
    if (verdict.delayMs > 0) await new Promise((passed) => setTimeout(passed, verdict.delayMs))
    if (!verdict.passes || !user)
      return refuse('login-failed', 'Incorrect username or password', { 'www-authenticate': 'Bearer' })
    return user.disabled ? refuse('inactive-user', 'Inactive user') : user
  }
}
