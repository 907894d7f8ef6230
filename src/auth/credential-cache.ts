import { PROBLEMS, type ProblemCode } from '../core/problem.ts'
import { sha256Hex } from '../identity/password.ts'
import { distance } from '../lib/time.ts'
import type { Authenticated } from './authenticator.ts'
import type { WaitUntil } from './jwt/key-source.ts'
import { makeTokenCache, type TokenCache } from './token-cache.ts'

/** A cached positive result. Times are epoch milliseconds. */
interface Entry {
  readonly result: Authenticated
  /** An estimate of its memory: an issuer may send many claims. */
  readonly bytes: number
  /** `REFUSED` once the credential was refused. */
  validatedAt: number
  /** The last check, and for how many milliseconds after it no other check starts in the background. */
  lastCheck: { readonly at: number; readonly pauseMs: number }
}

interface Refusal {
  readonly code: ProblemCode
  readonly at: number
}

/** The settings of one provider's cache. It holds `maxEntries` positive results and as many refusals. */
export interface CredentialCacheSettings {
  /** Checks a credential at the store or the issuer. Never rejects; a 503 code means that neither could be reached. */
  readonly check: (credential: string) => Promise<Authenticated | ProblemCode>
  /** The 503 code for a credential that is not checked, because too many of its client's network were wrong within the last second, or too many in all. */
  readonly unavailable: ProblemCode
  /** How long a positive result may be used, in milliseconds. */
  readonly ttlMs: number
  readonly maxEntries: number
  /** Epoch milliseconds. */
  readonly now: () => number
}

/** The results of checking credentials at a store or an issuer. */
export interface CredentialCache {
  /** A cached positive result that may be used at `now` (epoch ms). Past half of its lifetime it is checked again, in `waitUntil`. */
  readonly recall: (credential: string, now: number, waitUntil: WaitUntil) => Authenticated | undefined
  /** The cached refusal, or the result of a check. `network` is the client's network, by which wrong credentials are counted. */
  readonly check: (credential: string, network: string) => Promise<Authenticated | ProblemCode>
}

const REFUSAL_TTL_MS = 10_000
/** Checks of wrong credentials in one second, including those that are running, for one client network. */
const MAX_WRONG_OF_NETWORK = 100
/** The same for all networks: what a flood from many networks may cost the store or the issuer. */
const MAX_WRONG = 1_000
/** `validatedAt` of a credential that was valid before and was refused since. */
const REFUSED = -Infinity
/** For positive results and for refusals each. */
const MAX_BYTES = 8 * 1024 * 1024

/**
 * Caches results by the credential's SHA-256, so that neither memory nor the time of a lookup discloses the secret. Refusals have a cache of their own:
 * a flood of wrong credentials evicts no valid one, and only a bounded number of them is checked per second, for each client network and in all. A credential that was valid at its last
 * check is always checked.
 */
export function makeCredentialCache(settings: CredentialCacheSettings): CredentialCache {
  const { unavailable, ttlMs, maxEntries, now } = settings
  const valid = makeTokenCache<Entry>(maxEntries, MAX_BYTES, (_, { bytes }) => bytes)
  const refusals = makeTokenCache<Refusal>(maxEntries, MAX_BYTES)
  const checkAndCache = makeCheck(settings, valid, refusals)
  let second: WrongCount = { at: 0, total: 0, byNetwork: new Map() }

  return {
    recall(credential, at, waitUntil) {
      const hash = sha256Hex(credential)
      const entry = valid.get(hash)
      // By the distance: after a clock was set back, a time in the future counts as that much in the past.
      if (entry === undefined || distance(at, entry.validatedAt) >= ttlMs) return undefined
      if (at >= entry.result.validUntil || at < entry.result.validFrom) return undefined
      if (distance(at, entry.lastCheck.at) >= entry.lastCheck.pauseMs) {
        // One check at a time; after a failed one there is time for another before the result expires.
        entry.lastCheck = { at, pauseMs: ttlMs / 4 }
        waitUntil(checkAndCache(hash, credential))
      }
      return entry.result
    },
    async check(credential, network) {
      const hash = sha256Hex(credential)
      const at = now()
      const refusal = refusals.get(hash)
      if (refusal !== undefined && distance(at, refusal.at) < Math.min(ttlMs, REFUSAL_TTL_MS)) return refusal.code
      if ((valid.get(hash)?.validatedAt ?? REFUSED) !== REFUSED) return checkAndCache(hash, credential)
      if (distance(at, second.at) >= 1_000) second = { at, total: 0, byNetwork: new Map() }
      const current = second
      const ofNetwork = current.byNetwork.get(network) ?? 0
      if (current.total >= MAX_WRONG || ofNetwork >= MAX_WRONG_OF_NETWORK) return unavailable
      addWrong(current, network, 1)
      const result = await checkAndCache(hash, credential)
      if (typeof result === 'object') addWrong(current, network, -1)
      return result
    },
  }
}

/** Checks of credentials since `at` (epoch ms) that were wrong or have no result yet. */
interface WrongCount {
  readonly at: number
  total: number
  readonly byNetwork: Map<string, number>
}

/** Holds no more networks than `total`, so that its memory is bounded. */
function addWrong(count: WrongCount, network: string, change: 1 | -1): void {
  count.total += change
  const ofNetwork = (count.byNetwork.get(network) ?? 0) + change
  if (ofNetwork === 0) count.byNetwork.delete(network)
  else count.byNetwork.set(network, ofNetwork)
}

/** Checks a credential and caches the result, except a 503. */
function makeCheck(
  { check, ttlMs, now }: CredentialCacheSettings,
  valid: TokenCache<Entry>,
  refusals: TokenCache<Refusal>,
): (hash: string, credential: string) => Promise<Authenticated | ProblemCode> {
  return async (hash, credential) => {
    const result = await check(credential)
    const at = now()
    if (typeof result === 'object') {
      valid.set(hash, { result, bytes: bytesOf(result), validatedAt: at, lastCheck: { at, pauseMs: ttlMs / 2 } })
    } else if (PROBLEMS[result][0] !== 503) {
      const entry = valid.get(hash)
      if (entry) entry.validatedAt = REFUSED
      refusals.set(hash, { code: result, at })
    }
    return result
  }
}

/** Parsed claims take about twice the size of their text; the hash and the objects take about 1 KiB. */
const bytesOf = ({ identity }: Authenticated) => 2 * JSON.stringify(identity.claims).length + 1024
