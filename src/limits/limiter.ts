import type { ObjectNamespace } from '../core/durable-object.ts'
import type { HeaderEdit } from '../core/exchange.ts'

/** Counts in windows that start at multiples of their length, in the window that ends now, or in a bucket that fills up steadily. */
export type Algorithm = 'fixed-window' | 'sliding-window' | 'token-bucket'

/** What a limiter is made from; limiters of one name, window, algorithm and consistency share their counts. */
export interface LimiterSpec {
  readonly name: string
  /** Absent: a token bucket where `burst` is set, else fixed windows. */
  readonly algorithm?: Algorithm | undefined
  /** How much may be taken in one window; into a bucket, how much comes back in one. */
  readonly limit: number
  readonly windowMs: number
  /** How much a token bucket holds; absent where windows are counted. */
  readonly burst?: number | undefined
}

/** What a limiter says about one request. */
export interface LimitVerdict {
  readonly allowed: boolean
  /** What can still be taken in this window or from this bucket, as far as the limiter knows; never below 0. */
  readonly remaining: number
  /** Milliseconds until there is more than that, at least 1: the window ends, the next token comes; after a refusal, what was asked for. */
  readonly resetMs: number
  /** When it was decided, epoch milliseconds: on the store's clock as far as this isolate knows it, or on the isolate's own where that counts. */
  readonly decidedAt: number
  /** Until when, on that clock, what was taken ahead may be spent; absent where nothing was. */
  readonly leaseUntil?: number | undefined
}

/** A part of what was taken after an answer: how much, when, and from which lease, as a `Verdict` says it. */
export interface TakenPart extends Pick<LimitVerdict, 'decidedAt' | 'leaseUntil'> {
  readonly taken: number
}

/** Counts in this isolate, and answers at once. */
export interface LocalLimiter {
  /** Takes all of `cost`, or nothing. */
  readonly take: (key: string, cost: number) => LimitVerdict
  /** Takes as much of `amount` as is left. */
  readonly drain: (key: string, amount: number) => readonly TakenPart[]
}

/**
 * Counts in a store that all isolates share; undefined when the store did not answer. Never rejects.
 * A verdict that needs no store, such as one from a lease, is no promise.
 */
export interface StoreLimiter {
  readonly take: (
    key: string,
    cost: number,
    waitUntil: (work: Promise<unknown>) => void,
  ) => LimitVerdict | undefined | Promise<LimitVerdict | undefined>
  /** Takes as much of `amount` as is left, also of what this isolate has taken ahead; nothing from a store that does not answer. */
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

/** What a store has handed out; by then it is counted as used, whatever becomes of it. */
export interface TakeGrant {
  /** 0, or `atLeast` to `want`. */
  readonly granted: number
  /** What is left after that, whole, never below 0. */
  readonly remaining: number
  /** Milliseconds until there is more than that, at least 1; when nothing was granted, until there is `atLeast`. */
  readonly resetMs: number
  /** When it was taken, epoch milliseconds on the store's clock. */
  readonly storeNow: number
  /**
   * For how many milliseconds after `storeNow` it may be spent: at most `leaseMs(spec)`, and never past the end of its fixed window.
   * A sliding window counts what was granted to an ask with `want > atLeast` until its expiry + window: nobody knows when it is spent.
   */
  readonly expiresMs: number
}

/** One limiter's counts in a store. Undefined when the store did not answer in time; never rejects, and no grant without having counted it. */
export interface StoreCounter {
  readonly take: (
    key: string,
    ask: TakeRequest,
    waitUntil: (work: Promise<unknown>) => void,
  ) => Promise<TakeGrant | undefined>
}

/** A kind of store: Durable Objects, or Redis behind Upstash's protocol. Each has the timeout and the rest after failures for itself. */
export interface LimitStore {
  readonly counter: (spec: LimiterSpec) => StoreCounter
  readonly failing: () => boolean
}

/** The longest life of a lease. */
export const MAX_LEASE_MS = 1_000

/**
 * How long tokens that were taken ahead may be spent at most, milliseconds of the store's clock. A sliding window counts them that much longer,
 * and would admit that much less: hence at most a twentieth of it there.
 */
export function leaseMs(spec: LimiterSpec): number {
  return algorithmOf(spec) === 'sliding-window' ? Math.min(MAX_LEASE_MS, Math.floor(spec.windowMs / 20)) : MAX_LEASE_MS
}

/** What `algorithm` stands for. */
export function algorithmOf({ algorithm, burst }: LimiterSpec): Algorithm {
  return algorithm ?? (burst === undefined ? 'fixed-window' : 'token-bucket')
}

/** Counted in this isolate since its start, for metrics. */
export interface StoreCounters {
  /** Requests that were counted in a shared overflow bucket because there were too many keys. */
  overflows: number
  /** Hears when a store has failed too often to be asked, and when it answers again. */
  readonly turned?: (failing: boolean) => void
}

/**
 * How long a request waits for a store. A store in the same region answers in 1 to 10 ms, one on the same continent in 20 to 60;
 * above that the wait would cost the request more than the exact count is worth, and `onStoreError` answers.
 */
export const STORE_TIMEOUT_MS = 100

/** When the fixed window that holds `now` ends (both in epoch milliseconds): windows start at multiples of their length. */
export function windowEnd(now: number, windowMs: number): number {
  return (Math.floor(now / windowMs) + 1) * windowMs
}

/**
 * Whether the window that ends at `endsAt` is past. A clock that steps back by up to a window stays in it, so that no window is counted twice;
 * one that jumps further starts anew, so that nobody is locked out until it has caught up.
 */
export function hasEnded(endsAt: number, now: number, windowMs: number): boolean {
  return now >= endsAt || endsAt - now > 2 * windowMs
}

/**
 * All of `amount` (at least 1), or else what is left of it; undefined when the store did not answer. In one call where there is enough: what is
 * asked for whole is spent at once, and so a sliding window counts it no longer than it must.
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

/** What of it there is to tell: nothing, where nothing was granted. */
export function takeParts(grant: TakeGrant | undefined): TakenPart[] {
  return grant === undefined || grant.granted === 0 ? [] : [{ taken: grant.granted, decidedAt: grant.storeNow }]
}

/** How the limiters of one layer say what is left: in place of what stands in the answer by then, or beside it. */
export type FieldOp = 'set' | 'append'

/** A limiter's item in RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers): a String with Integer parameters (RFC 9651). */
export function policyItem(name: string, { limit, windowMs, burst }: LimiterSpec): string {
  return `"${name}";q=${limit};w=${windowMs / 1_000}${burst === undefined ? '' : `;burst=${burst}`}`
}

/** Its item in RateLimit. */
export function limitItem(name: string, { remaining, resetMs }: LimitVerdict): string {
  return `"${name}";r=${remaining};t=${wholeSeconds(resetMs)}`
}

/** Rounded up: whoever waits that long has waited long enough. */
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

/** One request's question to a shard; requests whose key finds no room are counted by the limiter's name. */
export interface ShardTake {
  readonly key: string
  readonly spec: LimiterSpec
  readonly ask: TakeRequest
}

/** What one take was granted; `storeNow` is of the object's own clock. */
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
