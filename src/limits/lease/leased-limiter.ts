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

/** A request that is cancelled while it asks never says so. */
const ASK_FORGOTTEN_MS = 2_000

/**
 * A limiter that takes tokens ahead from `counter` and spends them without asking, as `now` (the isolate's clock, epoch milliseconds) goes.
 * Requests share numbers and never a promise: one that finds nothing left makes its own call, and of all who do, one asks for more than its
 * own cost. A key for which there is no room takes nothing ahead.
 */
export function makeLeasedLimiter(
  counter: StoreCounter,
  spec: LimiterSpec,
  now: () => number,
  mostKeys?: number,
): StoreLimiter {
  const holdingOf = makeLeaseTable(mostKeys)
  const aheadOf = compileAhead(spec)

  const askAhead = async (key: string, holding: LeasedKey, cost: number, { ask, at, waitUntil }: Asking) => {
    holding.askedAt = at
    const grant = await counter.take(key, ask, waitUntil)
    if (holding.askedAt === at) holding.askedAt = -Infinity
    if (grant !== undefined) addGrant(holding, grant, cost, ask.atLeast, at, now())
    return grant && verdictOn(grant, cost, ask.atLeast)
  }

  const askStrictly = async (key: string, holding: LeasedKey | undefined, cost: number, waitUntil: WaitUntil) => {
    const sentAt = now()
    const grant = await counter.take(key, { want: cost, atLeast: cost }, waitUntil)
    if (grant !== undefined && holding !== undefined) addGrant(holding, grant, cost, cost, sentAt, now())
    return grant && verdictOn(grant, cost, cost)
  }

  return {
    take(key, cost, waitUntil) {
      const at = now()
      const holding = holdingOf(key, at)
      if (holding === undefined) return askStrictly(key, undefined, cost, waitUntil)
      addDemand(holding.demand, cost, at)
      const lease = findLease(holding, cost, at)
      const ahead = aheadOf(holding, at)
      if (lease !== undefined) {
        lease.tokens -= cost
        const held = leasedTokens(holding, at)
        if (held <= ahead / 2 && ahead > 0)
          waitUntil(askAhead(key, holding, 0, { ask: { want: ahead, atLeast: 1 }, at, waitUntil }))
        return verdictFrom(lease, holding, held, at)
      }
      if (isRefused(holding, cost, at)) return refusalFrom(holding, at)
      if (ahead === 0) return askStrictly(key, holding, cost, waitUntil)
      const asking = askAhead(key, holding, cost, { ask: { want: cost + ahead, atLeast: cost }, at, waitUntil })
      // A client that goes away meanwhile would take the lease with it.
      waitUntil(asking)
      return asking
    },
    async drain(key, amount, waitUntil) {
      const at = now()
      const holding = holdingOf(key, at)
      if (holding === undefined) return takeParts(await takeUpTo(counter, key, amount, waitUntil))
      addDemand(holding.demand, amount, at)
      const held = spendTokens(holding, amount, at)
      const due = amount - held.reduce((sum, { taken }) => sum + taken, 0)
      if (due === 0 || isRefused(holding, 1, at)) return held
      const grant = await takeUpTo(counter, key, due, waitUntil)
      if (grant !== undefined) addGrant(holding, grant, grant.granted, 1, at, now())
      return [...held, ...takeParts(grant)]
    },
  }
}

interface Asking {
  readonly ask: TakeRequest
  readonly at: number
  readonly waitUntil: WaitUntil
}

/** How much to take ahead now: 0 while somebody asks for a lease already, or the store is known to have none. */
function compileAhead(spec: LimiterSpec): (holding: LeasedKey, at: number) => number {
  const algorithm = algorithmOf(spec)
  const lifeMs = leaseMs(spec)
  return (holding, at) => {
    if (at - holding.askedAt < ASK_FORGOTTEN_MS || isRefused(holding, 1, at)) return 0
    const isNewWindow = algorithm === 'fixed-window' && at >= holding.resetAt
    return leaseSize(holding.demand, lifeMs, isNewWindow ? spec.limit : holding.remaining)
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
