import type { ObjectNamespace } from '../core/durable-object.ts'
import type { HeaderEdit } from '../core/exchange.ts'

/** Counts in windows that start at multiples of their length, in the window that ends now, or in a bucket that fills up steadily. */
export type Algorithm = 'fixed-window' | 'sliding-window' | 'token-bucket'

/** The definition of a limiter; limiters of one name, window, algorithm and consistency share their counts. */
export interface LimiterSpec {
  readonly name: string
  /** Absent: a token bucket where `burst` is set, else fixed windows. */
  readonly algorithm?: Algorithm | undefined
  /** The tokens of one window; of a bucket, the tokens that return in one window. */
  readonly limit: number
  readonly windowMs: number
  /** The capacity of a token bucket; absent where windows are counted. */
  readonly burst?: number | undefined
}

/** A limiter's decision on one request. */
export interface LimitVerdict {
  readonly allowed: boolean
  /** The tokens left in this window or bucket, in the limiter's latest state; never below 0. */
  readonly remaining: number
  /** Milliseconds until there are more tokens, at least 1: the window ends, or the next token returns. After a refusal: until the cost is available. */
  readonly resetMs: number
  /** The time of the decision, epoch milliseconds: on the store's clock as estimated here, or on the isolate's clock where the isolate counts. */
  readonly decidedAt: number
  /** When tokens that were taken ahead expire, on that clock; absent where none were. */
  readonly leaseUntil?: number | undefined
}

/** A part of the tokens taken after a response: how many, when, and from which lease, with the fields of a verdict. */
export interface TakenPart extends Pick<LimitVerdict, 'decidedAt' | 'leaseUntil'> {
  readonly taken: number
}

/** Counts in this isolate, synchronously. */
export interface LocalLimiter {
  /** Takes all of `cost`, or nothing. */
  readonly take: (key: string, cost: number) => LimitVerdict
  /** Takes up to `amount` tokens. */
  readonly drain: (key: string, amount: number) => readonly TakenPart[]
}

/**
 * Counts in a store that all isolates share; undefined when the store did not respond. Never rejects.
 * A verdict that needs no store, such as one from a lease, is no promise.
 */
export interface StoreLimiter {
  readonly take: (
    key: string,
    cost: number,
    waitUntil: (work: Promise<unknown>) => void,
  ) => LimitVerdict | undefined | Promise<LimitVerdict | undefined>
  /** Takes up to `amount` tokens, also from this isolate's leases; none from a store that does not respond. */
  readonly drain: (
    key: string,
    amount: number,
    waitUntil: (work: Promise<unknown>) => void,
  ) => Promise<readonly TakenPart[]>
}

/** How many tokens to take: as many of `want` as there are, or none when fewer than `atLeast` (0 to `want`) are left. */
export interface TakeRequest {
  readonly want: number
  readonly atLeast: number
}

/** The tokens that a store granted. They count as used, also when they are never spent. */
export interface TakeGrant {
  /** 0, or `atLeast` to `want`. */
  readonly granted: number
  /** The tokens left after the grant, a whole number, never below 0. */
  readonly remaining: number
  /** Milliseconds until there are more tokens, at least 1; when none were granted, until there are `atLeast`. */
  readonly resetMs: number
  /** When it was taken, epoch milliseconds on the store's clock. */
  readonly storeNow: number
  /**
   * For how many milliseconds after `storeNow` it may be spent: at most `leaseMs(spec)`, and never past the end of its fixed window.
   * A sliding window counts what was granted to an ask with `want > atLeast` until its expiry + window, because the store does not learn when it is spent.
   */
  readonly expiresMs: number
}

/** One limiter's counts in a store. Undefined when the store did not respond in time. Never rejects, and grants only what it has counted. */
export interface StoreCounter {
  readonly take: (
    key: string,
    ask: TakeRequest,
    waitUntil: (work: Promise<unknown>) => void,
  ) => Promise<TakeGrant | undefined>
}

/** A kind of store: Durable Objects, or Redis behind Upstash's protocol. Each has its own timeout, and its own pause after failures. */
export interface LimitStore {
  readonly counter: (spec: LimiterSpec) => StoreCounter
  readonly failing: () => boolean
}

/** The longest life of a lease. */
export const MAX_LEASE_MS = 1_000

/**
 * The longest life of a lease, in milliseconds of the store's clock. A sliding window counts leased tokens that much longer and admits that much
 * less, so there it is at most a twentieth of the window.
 */
export function leaseMs(spec: LimiterSpec): number {
  return algorithmOf(spec) === 'sliding-window' ? Math.min(MAX_LEASE_MS, Math.floor(spec.windowMs / 20)) : MAX_LEASE_MS
}

/** The algorithm of a limiter, with its default. */
export function algorithmOf({ algorithm, burst }: LimiterSpec): Algorithm {
  return algorithm ?? (burst === undefined ? 'fixed-window' : 'token-bucket')
}

/** Counted in this isolate since its start, for metrics. */
export interface StoreCounters {
  /** Requests that were counted in a shared overflow bucket because there were too many keys. */
  overflows: number
  /** Called when a store is no longer called because it failed too often, and when it responds again. */
  readonly turned?: (failing: boolean, error?: unknown) => void
}

/**
 * How long a request waits for a store. A store in the same region responds in 1 to 10 ms, one on the same continent in 20 to 60.
 * A longer wait would cost the request more than the exact count is worth, so `onStoreError` decides.
 */
export const STORE_TIMEOUT_MS = 100

/** When the fixed window that holds `now` ends (both in epoch milliseconds): windows start at multiples of their length. */
export function windowEnd(now: number, windowMs: number): number {
  return (Math.floor(now / windowMs) + 1) * windowMs
}

/**
 * Whether the window that ends at `endsAt` is past. A clock that steps back by up to a window stays in it, so that no window is counted twice;
 * one that jumps further starts a new window, so that no caller is refused until the clock has caught up.
 */
export function hasEnded(endsAt: number, now: number, windowMs: number): boolean {
  return now >= endsAt || endsAt - now > 2 * windowMs
}

/**
 * Takes `amount` tokens (at least 1), or those that are left; undefined when the store did not respond. It is one call where there are enough: tokens
 * that are taken whole are spent at once, so a sliding window counts them no longer than necessary.
 */
export async function takeUpTo(
  counter: StoreCounter,
  key: string,
  amount: number,
  waitUntil: (work: Promise<unknown>) => void,
): Promise<TakeGrant | undefined> {
  const whole = await counter.take(key, { want: amount, atLeast: amount }, waitUntil)
  if (whole === undefined || whole.granted > 0 || whole.remaining === 0) return whole
  return counter.take(key, { want: amount, atLeast: 1 }, waitUntil)
}

/** The parts of a grant: none, where nothing was granted. */
export function takeParts(grant: TakeGrant | undefined): TakenPart[] {
  return grant === undefined || grant.granted === 0 ? [] : [{ taken: grant.granted, decidedAt: grant.storeNow }]
}

/** How the limiters of one layer write their fields: replacing those of the response, or adding to them. */
export type FieldOp = 'set' | 'append'

/** A limiter's item in RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers): a String with Integer parameters (RFC 9651). */
export function policyItem(name: string, { limit, windowMs, burst }: LimiterSpec): string {
  return `"${name}";q=${limit};w=${windowMs / 1_000}${burst === undefined ? '' : `;burst=${burst}`}`
}

/** Its item in RateLimit. */
export function limitItem(name: string, { remaining, resetMs }: LimitVerdict): string {
  return `"${name}";r=${remaining};t=${wholeSeconds(resetMs)}`
}

/** In whole seconds, rounded up, so that a client which waits that long is not refused again. */
export function wholeSeconds(ms: number): number {
  return Math.ceil(ms / 1_000)
}

/** `item` at the end of a list (RFC 9651 §3.1), which may be empty. */
export function appendItem(list: string, item: string): string {
  return list === '' ? item : `${list}, ${item}`
}

/** The two fields of one layer; a list without items is no field. */
export function fieldEdits(op: FieldOp, policies: string, limits: string): HeaderEdit[] {
  const edits: HeaderEdit[] = []
  if (policies !== '') edits.push({ op, name: 'ratelimit-policy', value: policies })
  if (limits !== '') edits.push({ op, name: 'ratelimit', value: limits })
  return edits
}

/** The part of `Platform` that limits need. */
export interface LimitPlatform {
  readonly now: () => number
  readonly variable: (name: string) => string | undefined
  readonly secret: (ref: { $secret: string }) => string | undefined
  readonly limitShards: ObjectNamespace<LimitShardApi>
}

/** One take from a shard; a request whose key finds no room is counted under the limiter's name. */
export interface ShardTake {
  readonly key: string
  readonly spec: LimiterSpec
  readonly ask: TakeRequest
}

/** The grant of one take; `storeNow` is the time of the object's clock. */
export interface ShardGrant extends TakeGrant {
  /** Counted in the limiter's overflow row, because the shard has too many rows. */
  readonly overflowed: boolean
}

/** The remote calls of the Durable Object `LimitShard`. */
export interface LimitShardApi {
  take(take: ShardTake): Promise<ShardGrant | undefined>
}

/** The call that probes a store. It writes, because a store that is full or a read-only replica still serves reads. */
export const PROBE = {
  spec: { name: 'probe', algorithm: 'fixed-window', limit: 1_000_000_000, windowMs: 1_000 },
  ask: { want: 1, atLeast: 1 },
  key: 'probe',
} as const
