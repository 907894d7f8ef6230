import { callObject, type ObjectNamespace } from '../core/durable-object.ts'
import type { SigningKeys } from './types.ts'
import { sha256Hex } from './password.ts'
import { lengthPrefixed } from '../core/request-attribute.ts'
import { parseIp } from '../lib/ip.ts'
import { perPlatform, type Platform } from '../core/platform.ts'
import { CALLS, type IdentityApi, type IdentityClient, type IdentityStoreApi, type LoginVerdict } from './api.ts'

/** The name of the one object that knows all identities. */
export const IDENTITY_OBJECT = 'identity'

const TIMEOUT_MS = 1_000

/** The identity store for Workers. No call rejects: one that fails, or takes longer than `timeoutMs`, answers `unavailable`, and may have happened. */
export function makeIdentityClient(
  namespace: ObjectNamespace<IdentityStoreApi>,
  timeoutMs = TIMEOUT_MS,
): IdentityClient {
  const compileCall =
    (name: keyof IdentityApi) =>
    async (...args: readonly unknown[]) =>
      (await callObject(namespace, IDENTITY_OBJECT, timeoutMs, (store) => store.ask(name, args))) ?? 'unavailable'
  const names = Object.keys(CALLS) as (keyof IdentityApi)[]
  return Object.fromEntries(names.map((name) => [name, compileCall(name)])) as unknown as IdentityClient
}

/** Logins are rare beside requests, and a shard does about 1,000 of them a second. */
const SHARDS = 16

/** Judges a login by username and by the client's network (/24 of IPv4, /64 of IPv6); undefined when the guard does not answer. */
export type JudgeLogin = (username: string, ip: string, isRight: boolean) => Promise<LoginVerdict | undefined>

/** Nobody's name reaches the object, only hashes of names: people type passwords into the wrong field. */
export function makeLoginGuard({ loginGuards }: Pick<Platform, 'loginGuards'>): JudgeLogin {
  return async (username, ip, isRight) => {
    const user = sha256Hex(username)
    const pair = sha256Hex(lengthPrefixed(networkOf(ip)) + username)
    const shard = `logins-${parseInt(user.slice(0, 4), 16) % SHARDS}`
    return callObject(loginGuards, shard, TIMEOUT_MS, (guard) => guard.judge(user, pair, isRight))
  }
}

/** `''` for an address that is not known: those share one network. */
function networkOf(ip: string): string {
  const groups = parseIp(ip) ?? []
  return (groups.length === 2 ? [groups[0]!, groups[1]! & 0xff00] : groups.slice(0, 4)).join(':')
}

/** The keys that this gateway signs with; undefined while the store is out of reach and what is known is too old. Never rejects. */
export type SigningKeyReader = () => Promise<SigningKeys | undefined>

/** A key that leaked and was replaced signs no longer than this, in milliseconds: nobody believes it any more, and its tokens would be of no use. */
const ASK_AFTER_MS = 5_000

/** The reader of the signing keys, which all endpoints of a platform share: it asks the store every five seconds, or earlier when the store says that the keys may change. */
export const signingKeysOf = perPlatform(makeSigningKeyReader)

function makeSigningKeyReader({
  identityStore: identity,
  now,
}: Pick<Platform, 'identityStore' | 'now'>): SigningKeyReader {
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
