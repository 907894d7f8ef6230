import { MAX_LEASE_MS, type TakeGrant, type TakenPart } from '../limiter.ts'

/** Tokens that the store has counted already and this isolate has not spent yet. */
export interface TokenLease {
  tokens: number
  /** From when on it is lost. */
  readonly until: number
  /** What makes the isolate's clock the store's. */
  readonly toStore: number
}

/** What this isolate has of one key, and knows about it. All times are epoch milliseconds of the isolate's clock. */
export interface LeasedKey {
  leases: TokenLease[]
  readonly demand: Demand
  /** When a lease was asked for that has not come yet; `-Infinity` when none was. */
  askedAt: number
  /** What the store had left when it answered last, and when there is more. */
  remaining: number
  resetAt: number
  /** The store refuses this much, and more, at least until then; `Infinity` when it has refused nothing. */
  refusedFrom: number
  refusedUntil: number
  /** What makes the isolate's clock the store's, or a little more. */
  toStore: number
  touchedAt: number
}

/** About 5 MB at the worst, for each limiter. */
const MOST_HOLDINGS = 10_000

/** Looking through all holdings takes about 0.2 ms, so it happens at most this often. */
const SWEEP_INTERVAL_MS = 1_000

/** The clock stands still while a request computes, and no two clocks run equally fast. */
const CLOCK_MARGIN_MS = 5

/** Two clocks of whole milliseconds. */
const ROUNDING_MS = 2

/** Finds the holding of a key, or makes it; undefined while there are too many. A clock that steps back voids all of them: nobody knows how old they are. */
export function makeLeaseTable(most = MOST_HOLDINGS): (key: string, now: number) => LeasedKey | undefined {
  const holdings = new Map<string, LeasedKey>()
  let seenAt = 0
  let sweptAt = 0
  const hasRoom = (now: number) => {
    if (holdings.size < most) return true
    if (now - sweptAt < SWEEP_INTERVAL_MS) return false
    sweptAt = now
    // No lease outlives this, and a refusal forgotten costs a call.
    for (const [key, { touchedAt }] of holdings) if (now - touchedAt > MAX_LEASE_MS) holdings.delete(key)
    return holdings.size < most
  }
  return (key, now) => {
    if (now < seenAt) {
      holdings.clear()
      sweptAt = 0
    }
    seenAt = now
    let holding = holdings.get(key)
    if (holding === undefined) {
      if (!hasRoom(now)) return undefined
      holding = makeHolding(now)
      holdings.set(key, holding)
    }
    holding.touchedAt = now
    return holding
  }
}

function makeHolding(now: number): LeasedKey {
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
 * Keeps what a store has handed out above what the asking request itself has spent of it. A lease's life is counted in time passed, which no
 * skew between two clocks touches, and from when it was asked for, which is before the store counted it by all of the transit. A skew that has
 * grown since an earlier lease came means that this clock was set back meanwhile: that lease is older than it seems.
 */
export function addGrant(
  holding: LeasedKey,
  grant: TakeGrant,
  spent: number,
  atLeast: number,
  sentAt: number,
  now: number,
): void {
  holding.remaining = grant.remaining
  holding.resetAt = now + grant.resetMs
  holding.refusedFrom = grant.granted < atLeast ? atLeast : Infinity
  // As if it had decided when it was asked: a call too many, and nobody refused for nothing.
  holding.refusedUntil = sentAt + grant.resetMs
  holding.toStore = grant.storeNow - sentAt
  const tokens = grant.granted - spent
  if (tokens <= 0) return
  const until = sentAt + Math.min(grant.expiresMs, MAX_LEASE_MS) - CLOCK_MARGIN_MS
  const leastToStore = grant.storeNow - now - ROUNDING_MS
  holding.leases = holding.leases.filter(
    ({ tokens: left, until: end, toStore }) => left > 0 && now < end && toStore >= leastToStore,
  )
  holding.leases.push({ tokens, until, toStore: holding.toStore })
}

/** A lease with that many tokens in it, which may still be spent. */
export function findLease({ leases }: LeasedKey, cost: number, now: number): TokenLease | undefined {
  for (const lease of leases) if (lease.tokens >= cost && now < lease.until) return lease
  return undefined
}

/** Spends as much of `amount` as there is, from one lease after the other, and says from which. */
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

/** How many tokens can be spent without asking. */
export function leasedTokens({ leases }: LeasedKey, now: number): number {
  let held = 0
  for (const { tokens, until } of leases) if (now < until) held += tokens
  return held
}

/** How fast a key is asked for: a smoothed rate, and the count of the period that is running. */
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

/** Nobody takes ahead more than this part of what is left: as a limit nears, all take less, and nothing in the end. */
const SHARE = 10

/** One call for so many requests is cheap, and what is taken ahead beyond that only has to outlast the next call. */
const PLENTY = 32

/** Who needs less than this soon asks so seldom that waiting for each call costs less than losing what the others might use. */
const FEW = 8

/**
 * How many tokens to take ahead, each of which lives `lifeMs`: at the present rate they are spent in a fifth of that, or in half of it where
 * that makes few, so that most are spent in time even where the rate drops; and where a burst is more than the rate tells of, a quarter of what
 * it has taken so far. At most a tenth of what `remaining` says is left in the store. 0 where that makes less than two, and each request asks for
 * itself, which is `strict`: so it is for a limit below 20, for the last 20 of any, and for a key that is asked for a dozen times a second.
 */
export function leaseSize({ perMs, count }: Demand, lifeMs: number, remaining: number): number {
  const inLife = perMs * lifeMs
  const inBurst = count * Math.min(1 / 4, lifeMs / PERIOD_MS / 2)
  const needed = Math.max(Math.min(inLife / 2, Math.max(PLENTY, inLife / 5)), inBurst)
  const size = Math.floor(Math.min(needed, remaining / SHARE))
  return needed < FEW || size < 2 ? 0 : size
}
