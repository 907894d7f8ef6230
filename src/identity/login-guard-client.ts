import { sha256Hex } from './secrets.ts'
import { lengthPrefixed } from '../core/request-attribute.ts'
import { parseIp } from '../lib/ip.ts'
import { withTimeout } from '../lib/time.ts'
import type { Platform } from '../core/platform.ts'
import type { LoginVerdict } from './login-guard.ts'

/** Logins are rare beside requests, and a shard does about 1,000 of them a second. */
const SHARDS = 16
const ANSWER_MS = 1_000

/** Judges a login by username and by the client's network (/24 of IPv4, /64 of IPv6); undefined when the guard does not answer. */
export type JudgeLogin = (username: string, ip: string, isRight: boolean) => Promise<LoginVerdict | undefined>

/** Nobody's name reaches the object, only hashes of names: people type passwords into the wrong field. */
export function makeLoginGuard({ loginGuards: logins }: Pick<Platform, 'loginGuards'>): JudgeLogin {
  return async (username, ip, isRight) => {
    const user = sha256Hex(username)
    const pair = sha256Hex(lengthPrefixed(networkOf(ip)) + username)
    const guard = logins.getByName(`logins-${parseInt(user.slice(0, 4), 16) % SHARDS}`)
    return withTimeout<LoginVerdict | undefined>(ANSWER_MS, async () => guard.judge(user, pair, isRight))
  }
}

/** `''` for an address that is not known: those share one network. */
function networkOf(ip: string): string {
  const groups = parseIp(ip) ?? []
  return (groups.length === 2 ? [groups[0]!, groups[1]! & 0xff00] : groups.slice(0, 4)).join(':')
}
