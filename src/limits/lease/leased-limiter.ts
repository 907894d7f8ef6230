import {
  algorithmOf,
  leaseMs,
  takeParts,
  takeUpTo,
  type LimiterSpec,
  type LimitVerdict,
  type StoreCounter,
  type StoreLimiter,
  type TakeGrant,
  type TakeRequest,
} from '../limiter.ts'
import {
  addDemand,
  addGrant,
  findLease,
  leasedTokens,
  leaseSize,
  makeLeaseTable,
  spendTokens,
  type LeasedKey,
  type TokenLease,
} from './leases.ts'

type WaitUntil = (work: Promise<unknown>) => void

/** A prefetch that is older than this, in milliseconds, was cancelled with its request. */
const PREFETCH_LOST_MS = 2_000

/**
 * A limiter that takes tokens ahead from `counter` and spends them without a call; `now` is the isolate's clock in epoch milliseconds.
 * Requests share numbers and never a promise: a request that finds no tokens makes its own call, and one of those takes more than its own
 * cost. A key for which there is no room takes nothing ahead.
 */
export function makeLeasedLimiter(
  counter: StoreCounter,
  spec: LimiterSpec,
  now: () => number,
  maxKeys?: number,
): StoreLimiter {
  const keyOf = makeLeaseTable(maxKeys)
  const prefetchOf = compilePrefetch(spec)
  const store = makeStoreCalls(counter, now)
  return {
    take(key, cost, waitUntil) {
      const at = now()
      const leased = keyOf(key, at)
      if (leased === undefined) return store.takeStrictly(key, undefined, cost, waitUntil)
      addDemand(leased.demand, cost, at)
      const lease = findLease(leased, cost, at)
      const ahead = prefetchOf(leased, at)
      if (lease !== undefined) {
        lease.tokens -= cost
        const held = leasedTokens(leased, at)
        if (held <= ahead / 2 && ahead > 0)
          waitUntil(store.prefetch(key, leased, 0, { ask: { want: ahead, atLeast: 1 }, at, waitUntil }))
        return verdictFrom(lease, leased, held, at)
      }
      if (isRefused(leased, cost, at)) return refusalFrom(leased, at)
      if (ahead === 0) return store.takeStrictly(key, leased, cost, waitUntil)
      const taking = store.prefetch(key, leased, cost, { ask: { want: cost + ahead, atLeast: cost }, at, waitUntil })
      // Otherwise a client that disconnects meanwhile would cancel the call, and the lease would be lost.
      waitUntil(taking)
      return taking
    },
    drain: compileDrain(counter, keyOf, now),
  }
}

/** Takes up to an amount: first leased tokens, then tokens of the store. */
function compileDrain(
  counter: StoreCounter,
  keyOf: ReturnType<typeof makeLeaseTable>,
  now: () => number,
): StoreLimiter['drain'] {
  return async (key, amount, waitUntil) => {
    const at = now()
    const leased = keyOf(key, at)
    if (leased === undefined) return takeParts(await takeUpTo(counter, key, amount, waitUntil))
    addDemand(leased.demand, amount, at)
    const spent = spendTokens(leased, amount, at)
    const due = amount - spent.reduce((sum, { taken }) => sum + taken, 0)
    if (due === 0 || isRefused(leased, 1, at)) return spent
    const grant = await takeUpTo(counter, key, due, waitUntil)
    if (grant !== undefined) addGrant(leased, grant, grant.granted, 1, at, now())
    return [...spent, ...takeParts(grant)]
  }
}

interface Prefetch {
  readonly ask: TakeRequest
  readonly at: number
  readonly waitUntil: WaitUntil
}

/** The calls of the store, whose grants are added to the key. Undefined when the store does not respond. */
function makeStoreCalls(counter: StoreCounter, now: () => number) {
  return {
    /** Takes tokens ahead; `cost` of them are spent by this request. */
    async prefetch(key: string, leased: LeasedKey, cost: number, { ask, at, waitUntil }: Prefetch) {
      leased.askedAt = at
      const grant = await counter.take(key, ask, waitUntil)
      if (leased.askedAt === at) leased.askedAt = -Infinity
      if (grant !== undefined) addGrant(leased, grant, cost, ask.atLeast, at, now())
      return grant && verdictOn(grant, cost, ask.atLeast)
    },
    /** Takes the cost of one request alone. */
    async takeStrictly(key: string, leased: LeasedKey | undefined, cost: number, waitUntil: WaitUntil) {
      const sentAt = now()
      const grant = await counter.take(key, { want: cost, atLeast: cost }, waitUntil)
      if (grant !== undefined && leased !== undefined) addGrant(leased, grant, cost, cost, sentAt, now())
      return grant && verdictOn(grant, cost, cost)
    },
  }
}

/** How many tokens to take ahead now: 0 while a prefetch is running, or the store is known to have none. */
function compilePrefetch(spec: LimiterSpec): (leased: LeasedKey, at: number) => number {
  const algorithm = algorithmOf(spec)
  const lifeMs = leaseMs(spec)
  return (leased, at) => {
    if (at - leased.askedAt < PREFETCH_LOST_MS || isRefused(leased, 1, at)) return 0
    const isNewWindow = algorithm === 'fixed-window' && at >= leased.resetAt
    return leaseSize(leased.demand, lifeMs, isNewWindow ? spec.limit : leased.remaining)
  }
}

function isRefused({ refusedFrom, refusedUntil }: LeasedKey, cost: number, at: number): boolean {
  return cost >= refusedFrom && at < refusedUntil
}

function verdictOn({ granted, remaining, resetMs, storeNow }: TakeGrant, cost: number, atLeast: number): LimitVerdict {
  const allowed = granted >= atLeast
  return { allowed, remaining: allowed ? remaining + granted - cost : remaining, resetMs, decidedAt: storeNow }
}

function verdictFrom(lease: TokenLease, { remaining, resetAt }: LeasedKey, held: number, at: number): LimitVerdict {
  return {
    allowed: true,
    remaining: held + remaining,
    resetMs: Math.max(1, resetAt - at),
    decidedAt: at + lease.toStore,
    leaseUntil: lease.until + lease.toStore,
  }
}

function refusalFrom({ remaining, resetAt, toStore }: LeasedKey, at: number): LimitVerdict {
  return { allowed: false, remaining, resetMs: resetAt - at, decidedAt: at + toStore }
}
