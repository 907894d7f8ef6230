import { withTimeout } from '../lib/time.ts'
import type { IdentityStore } from './store/identity-store.ts'
import type { IdentityApi, IdentityClient, SigningKeys } from './types.ts'
import { sha256Hex } from './password.ts'
import { lengthPrefixed } from '../core/request-attribute.ts'
import { parseIp } from '../lib/ip.ts'
import type { Platform } from '../core/platform.ts'
import type { LoginVerdict } from './login-guard.ts'

/** The name of the one object that knows all identities. */
export const IDENTITY_OBJECT = 'identity'

const TIMEOUT_MS = 1_000

/** What can be asked from outside. */
export const CALLS = {
  createUser: true,
  createFirstUser: true,
  getUser: true,
  listUsers: true,
  updateUser: true,
  removeUser: true,
  userCredentials: true,
  createClient: true,
  getClient: true,
  listClients: true,
  updateClient: true,
  removeClient: true,
  clientCredentials: true,
  createApiKey: true,
  findApiKey: true,
  listApiKeys: true,
  revokeApiKey: true,
  startFamily: true,
  rotateRefresh: true,
  findRefresh: true,
  revokeRefresh: true,
  listFamilies: true,
  revokeFamily: true,
  revoke: true,
  revocationsSince: true,
  listRevocations: true,
  signingKeys: true,
  replaceSigningKeys: true,
  recordAct: true,
  auditLog: true,
} as const satisfies Readonly<Record<keyof IdentityApi, true>>

/** The object's method as it is over RPC, whose types cannot follow one that answers for many. */
interface Asked {
  readonly ask: (name: string, args: readonly unknown[]) => Promise<unknown>
}

/** The identity store for Workers. No call rejects: one that fails, or takes longer than `timeoutMs`, answers `unavailable`, and may have happened. */
export function makeIdentityClient(
  namespace: DurableObjectNamespace<IdentityStore>,
  timeoutMs = TIMEOUT_MS,
): IdentityClient {
  const call =
    (name: string) =>
    async (...args: readonly unknown[]) => {
      const answer = await withTimeout(timeoutMs, async () =>
        (namespace.getByName(IDENTITY_OBJECT) as unknown as Asked).ask(name, args),
      )
      return answer ?? 'unavailable'
    }
  return Object.fromEntries(Object.keys(CALLS).map((name) => [name, call(name)])) as unknown as IdentityClient
}

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

/** The keys that this gateway signs with; undefined while the store is out of reach and what is known is too old. Never rejects. */
export type OwnKeys = () => Promise<SigningKeys | undefined>

/** A key that leaked and was replaced signs no longer than this, in milliseconds: nobody believes it any more, and its tokens would be of no use. */
const ASK_AFTER_MS = 5_000

const perPlatform = new WeakMap<Platform, OwnKeys>()

/** One for all endpoints of a platform: the store is asked every five seconds, and oftener when it says that the keys may have changed. */
export function ownKeysOf(platform: Platform): OwnKeys {
  const known = perPlatform.get(platform) ?? makeOwnKeys(platform)
  perPlatform.set(platform, known)
  return known
}

function makeOwnKeys({ identityStore: identity, now }: Pick<Platform, 'identityStore' | 'now'>): OwnKeys {
  const store = makeIdentityClient(identity)
  let known: { readonly keys: SigningKeys; readonly askedAt: number } | undefined
  // The distance, because a clock may step back.
  const ageIsWithin = (ms: number) => known !== undefined && Math.abs(now() - known.askedAt) < ms
  return async () => {
    if (ageIsWithin(Math.min(ASK_AFTER_MS, known?.keys.refreshAfterMs ?? 0))) return known?.keys
    const askedAt = now()
    const keys = await store.signingKeys()
    if (keys !== 'unavailable') known = { keys, askedAt }
    return ageIsWithin(2 * (known?.keys.refreshAfterMs ?? 0)) ? known?.keys : undefined
  }
}
