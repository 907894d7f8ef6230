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
