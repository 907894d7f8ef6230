import { MAX_LEASE_MS, type TakeGrant, type TakenPart } from '../limiter.ts'

/** Tokens that the store has counted and this isolate has not spent yet. */
export interface TokenLease {
  tokens: number
  /** When the lease expires, and its tokens are lost. */
  readonly until: number
  /** The difference from the isolate's clock to the store's. */
  readonly toStore: number
}

/** The leases of one key, and the last state of its count that this isolate received. All times are epoch milliseconds of the isolate's clock. */
export interface LeasedKey {
  leases: TokenLease[]
  readonly demand: Demand
  /** When the running prefetch began; `-Infinity` when none is running. */
  askedAt: number
  /** What the store had left at its last response, and when there is more. */
  remaining: number
  resetAt: number
  /** The store refuses this cost, and more, until `refusedUntil`; `Infinity` when it has refused nothing. */
  refusedFrom: number
  refusedUntil: number
  /** At least the difference from the isolate's clock to the store's. */
  toStore: number
  touchedAt: number
}

/** Keys of one limiter: at maxKeys about 5 MB. */
const MAX_KEYS = 10_000

/** The least time between two scans of all keys, which take about 0.2 ms. Milliseconds. */
const SWEEP_INTERVAL_MS = 1_000

/** The clock stands still while a request computes, and no two clocks run equally fast. */
const CLOCK_MARGIN_MS = 5

/** The rounding error between two clocks of whole milliseconds. */
const ROUNDING_MS = 2

/** Finds or adds a key; undefined while there are too many. A clock that steps back voids all leases, because their age is not known then. */
export function makeLeaseTable(maxKeys = MAX_KEYS): (key: string, now: number) => LeasedKey | undefined {
  const keys = new Map<string, LeasedKey>()
  let seenAt = 0
  let sweptAt = 0
  const hasRoom = (now: number) => {
    if (keys.size < maxKeys) return true
    if (now - sweptAt < SWEEP_INTERVAL_MS) return false
    sweptAt = now
    // No lease lives longer, and a forgotten refusal costs a call.
    for (const [key, { touchedAt }] of keys) if (now - touchedAt > MAX_LEASE_MS) keys.delete(key)
    return keys.size < maxKeys
  }
  return (key, now) => {
    if (now < seenAt) {
      keys.clear()
      sweptAt = 0
    }
    seenAt = now
    let leased = keys.get(key)
    if (leased === undefined) {
      if (!hasRoom(now)) return undefined
      leased = makeLeasedKey(now)
      keys.set(key, leased)
    }
    leased.touchedAt = now
    return leased
  }
}

function makeLeasedKey(now: number): LeasedKey {
  return {
    leases: [],
    demand: { since: now, count: 0, perMs: 0 },
    askedAt: -Infinity,
    remaining: 0,
    resetAt: now,
    refusedFrom: Infinity,
    refusedUntil: now,
    toStore: 0,
    touchedAt: now,
  }
}

/**
 * Adds the tokens of a grant beyond those that its request has spent. The life of a lease is counted as elapsed time, which no skew between
 * clocks affects, and from when it was requested, which is before the store counted it. A skew that has grown since an earlier lease means
 * that this clock was set back meanwhile: that lease is older than it seems, and is dropped.
 */
export function addGrant(
  leased: LeasedKey,
  grant: TakeGrant,
  spent: number,
  atLeast: number,
  sentAt: number,
  now: number,
): void {
  leased.remaining = grant.remaining
  leased.resetAt = now + grant.resetMs
  leased.refusedFrom = grant.granted < atLeast ? atLeast : Infinity
  // The time of the call counts as the time of the decision: that can cost one call too many, and refuses no request wrongly.
  leased.refusedUntil = sentAt + grant.resetMs
  leased.toStore = grant.storeNow - sentAt
  const tokens = grant.granted - spent
  if (tokens <= 0) return
  const until = sentAt + Math.min(grant.expiresMs, MAX_LEASE_MS) - CLOCK_MARGIN_MS
  const leastToStore = grant.storeNow - now - ROUNDING_MS
  leased.leases = leased.leases.filter(
    ({ tokens: left, until: end, toStore }) => left > 0 && now < end && toStore >= leastToStore,
  )
  leased.leases.push({ tokens, until, toStore: leased.toStore })
}

/** A lease with at least `cost` tokens that has not expired. */
export function findLease({ leases }: LeasedKey, cost: number, now: number): TokenLease | undefined {
  for (const lease of leases) if (lease.tokens >= cost && now < lease.until) return lease
  return undefined
}

/** Spends up to `amount` tokens, lease by lease; returns the parts. */
export function spendTokens({ leases }: LeasedKey, amount: number, now: number): TakenPart[] {
  const parts: TakenPart[] = []
  let due = amount
  for (const lease of leases) {
    const taken = now < lease.until ? Math.min(lease.tokens, due) : 0
    if (taken === 0) continue
    lease.tokens -= taken
    due -= taken
    parts.push({ taken, decidedAt: now + lease.toStore, leaseUntil: lease.until + lease.toStore })
  }
  return parts
}

/** How many tokens can be spent without a call to the store. */
export function leasedTokens({ leases }: LeasedKey, now: number): number {
  let held = 0
  for (const { tokens, until } of leases) if (now < until) held += tokens
  return held
}

/** The demand for a key: a smoothed rate, and the count of the current period. */
export interface Demand {
  /** When the period began, milliseconds. */
  since: number
  count: number
  perMs: number
}

const PERIOD_MS = 250

/** Adds `cost` at `now` (milliseconds). At the end of a period the rate goes half the way down to that period's, but only a quarter of the way up: not every burst lasts. */
export function addDemand(demand: Demand, cost: number, now: number): void {
  const passed = now - demand.since
  if (passed >= PERIOD_MS) {
    const change = demand.count / passed - demand.perMs
    demand.perMs += change / (change < 0 ? 2 : 4)
    demand.count = 0
    demand.since = now
  }
  demand.count += cost
}

/** The largest part of the remaining tokens that an isolate takes ahead: near the limit all isolates take less, and in the end nothing. */
const SHARE = 10

/** One call for this many requests is cheap. Tokens beyond that only have to last until the next call has ended. */
const PLENTY = 32

/** Below this demand a call for each request costs less than tokens that expire unspent, which other isolates could have used. */
const FEW = 8

/**
 * How many tokens to take ahead, each of which lives `lifeMs`: at the present rate they are spent in a fifth of that, or in half of it where
 * that makes few, so that maxKeys are spent in time even where the rate drops; and where a burst exceeds the rate, a quarter of what
 * it has taken so far. At most a tenth of `remaining`, the tokens left in the store. 0 where that makes less than two: each request then calls the
 * store, as with `strict`. That applies to a limit below 20, to the last 20 tokens of every limit, and to a key with a dozen requests per second.
 */
export function leaseSize({ perMs, count }: Demand, lifeMs: number, remaining: number): number {
  const inLife = perMs * lifeMs
  const inBurst = count * Math.min(1 / 4, lifeMs / PERIOD_MS / 2)
  const needed = Math.max(Math.min(inLife / 2, Math.max(PLENTY, inLife / 5)), inBurst)
  const size = Math.floor(Math.min(needed, remaining / SHARE))
  return needed < FEW || size < 2 ? 0 : size
}
