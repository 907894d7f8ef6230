/** What a limiter is made from; limiters of one name, window and algorithm share their counts. */
export interface LimiterSpec {
  readonly name: string
  /** How much may be taken in one window; into a bucket, how much comes back in one. */
  readonly limit: number
  readonly windowMs: number
  /** How much a token bucket holds; absent where windows are counted. */
  readonly burst?: number | undefined
}

/** What a limiter says about one request. */
export interface Verdict {
  readonly allowed: boolean
  /** What can still be taken in this window or from this bucket, as far as the limiter knows; never below 0. */
  readonly remaining: number
  /** Milliseconds until there is more than that, at least 1: the window ends, the next token comes; after a refusal, what was asked for. */
  readonly resetMs: number
}

/** Counts in this isolate, and answers at once. */
export interface LocalLimiter {
  readonly take: (key: string, cost: number) => Verdict
}

/** Counts in a store that all isolates share; undefined when the store did not answer. Never rejects. */
export interface StoreLimiter {
  readonly take: (
    key: string,
    cost: number,
    waitUntil: (work: Promise<unknown>) => void,
  ) => Promise<Verdict | undefined>
}

/** Counted in this isolate since its start, for metrics. */
export interface LimitTally {
  /** Requests without a value for a part of a limiter's key: they share that limiter's one bucket for such requests. */
  missingKeys: number
  /** Requests that were counted in a shared overflow bucket because there were too many keys. */
  overflows: number
  /** Requests that a store did not answer, so that `onStoreError` did. */
  storeFailures: number
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
