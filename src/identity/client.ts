import { callObject, type ObjectNamespace } from '../core/durable-object.ts'
import { perPlatform, type Platform } from '../core/platform.ts'
import { lengthPrefixed } from '../core/request-attribute.ts'
import { parseIp } from '../lib/ip.ts'
import { distance } from '../lib/time.ts'
import { OPERATIONS, type IdentityApi, type IdentityClient, type IdentityStoreApi, type LoginDecision } from './api.ts'
import { sha256Hex } from './password.ts'
import type { SigningKeys } from './types.ts'

/** The name of the only identity store object. */
const IDENTITY_OBJECT = 'identity'

const TIMEOUT_MS = 1_000

/**
 * The identity store over RPC. No call rejects: one that fails, or takes longer than `timeoutMs`, resolves to `unavailable`; its effect may
 * have taken place.
 */
export function makeIdentityClient(
  namespace: ObjectNamespace<IdentityStoreApi>,
  timeoutMs = TIMEOUT_MS,
): IdentityClient {
  const compileCall =
    (name: keyof IdentityApi) =>
    async (...args: readonly unknown[]) =>
      (await callObject(namespace, IDENTITY_OBJECT, timeoutMs, (store) => store.execute(name, args))) ?? 'unavailable'
  const names = Object.keys(OPERATIONS) as (keyof IdentityApi)[]
  return Object.fromEntries(names.map((name) => [name, compileCall(name)])) as unknown as IdentityClient
}

/** Login guard objects. Each decides on about 1,000 logins a second; logins are much rarer than requests. */
const SHARDS = 16

/** Decides on a login of `username` from the network of `ip` (IPv4 /24, IPv6 /64); undefined when the guard does not respond. */
type DecideLogin = (username: string, ip: string, passwordMatches: boolean) => Promise<LoginDecision | undefined>

/** The login guard over RPC. The object receives only hashes of usernames, because people type passwords into the wrong field. */
export function makeLoginGuardClient({ loginGuards }: Pick<Platform, 'loginGuards'>): DecideLogin {
  return async (username, ip, passwordMatches) => {
    const user = sha256Hex(username)
    const pair = sha256Hex(lengthPrefixed(networkOf(ip)) + username)
    const shard = `logins-${parseInt(user.slice(0, 4), 16) % SHARDS}`
    return callObject(loginGuards, shard, TIMEOUT_MS, (guard) => guard.decide(user, pair, passwordMatches))
  }
}

/** `''` for an unknown address: all of those share one network. */
function networkOf(ip: string): string {
  const groups = parseIp(ip) ?? []
  return (groups.length === 2 ? [groups[0]!, groups[1]! & 0xff00] : groups.slice(0, 4)).join(':')
}

/** The keys that this gateway signs with; undefined while the store is unreachable and the last keys are too old. Never rejects. */
type SigningKeyReader = () => Promise<SigningKeys | undefined>

/** An isolate signs with a leaked key for this long at most after its replacement, in milliseconds. Such tokens are useless: no verifier accepts them. */
const MAX_AGE_MS = 5_000

/** The reader of the signing keys, shared by all endpoints of a platform. It reads the store every five seconds, or earlier when the keys may change earlier. */
export const signingKeysOf = perPlatform(makeSigningKeyReader)

function makeSigningKeyReader({ identityStore, now }: Pick<Platform, 'identityStore' | 'now'>): SigningKeyReader {
  const store = makeIdentityClient(identityStore)
  let last: { readonly keys: SigningKeys; readonly readAt: number } | undefined
  // The distance, because a clock may step back.
  const isYounger = (ms: number) => last !== undefined && distance(last.readAt, now()) < ms
  return async () => {
    if (isYounger(Math.min(MAX_AGE_MS, last?.keys.refreshAfterMs ?? 0))) return last?.keys
    const readAt = now()
    const keys = await store.signingKeys()
    if (keys !== 'unavailable') last = { keys, readAt }
    return isYounger(2 * (last?.keys.refreshAfterMs ?? 0)) ? last?.keys : undefined
  }
}
