import type { Exchange } from '../../core/exchange.ts'
import type { Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import type { Target } from '../target.ts'

/**
 * The power of two choices: the next candidate in turn, unless another, drawn by weight, is `isBetter`. Two candidates are enough to
 * avoid a bad target, and unlike the best of all they do not send every isolate to the same target at once. On a tie the turn
 * decides, so that the weights' shares hold. `route` is the id of the route, each of which has turns of its own.
 */
export function chooseOfTwo(
  candidates: readonly Target[],
  random: () => number,
  isBetter: (other: Target, next: Target, now: number) => boolean,
  now: number,
  route: string,
): Target {
  const next = nextInTurn(candidates, route)
  const other = drawOther(candidates, next, random)
  return isBetter(other, next, now) ? other : next
}

/** One of the candidates besides `next`, by weight; `next` itself when it is alone. */
function drawOther(candidates: readonly Target[], next: Target, random: () => number): Target {
  let total = -next.weight
  for (const target of candidates) total += target.weight
  let point = random() * total
  let drawn = next
  for (const target of candidates) {
    if (target === next) continue
    drawn = target
    if ((point -= target.weight) < 0) break
  }
  return drawn
}

/** Chooses the one of two candidates with fewer tries in flight for its weight; on a tie the next in turn. */
export function leastRequests({ random }: Pick<Platform, 'random'>): BalancingStrategy {
  return { choose: (candidates, { route }, now) => chooseOfTwo(candidates, random, isLessLoaded, now, route) }
}

/** Whether `other` with this try has at most the load per weight that `next` has without it. */
function isLessLoaded(other: Target, next: Target): boolean {
  return (other.inFlight + 1) * next.weight <= next.inFlight * other.weight
}

/** Chooses the candidates in turn, in proportion to their weights. */
export const roundRobin: BalancingStrategy = { choose: (candidates, { route }) => nextInTurn(candidates, route) }

/**
 * The next of `candidates` in the turns of `route`. Each route has turns of its own: with common turns, regular traffic to several routes would fall
 * in step, and each route would always get the same target. Routes begin in turn, so that many rarely called routes do not all begin with the same
 * target.
 */
function nextInTurn(candidates: readonly Target[], route: string): Target {
  const { first, byRoute } = candidates[0]!.turns
  let credits = byRoute.get(route)
  if (credits === undefined) {
    credits = [...first]
    byRoute.set(route, credits)
    takeTurn(candidates, first)
  }
  return takeTurn(candidates, credits)
}

/**
 * Smooth weighted round-robin: each candidate's credit grows by its weight; the one with the highest credit is chosen and its credit falls
 * by the total weight. In every run of total-weight turns among the same candidates each one gets exactly its share, interleaved.
 */
function takeTurn(candidates: readonly Target[], credits: number[]): Target {
  let highest = candidates[0]!
  let total = 0
  for (const target of candidates) {
    credits[target.index]! += target.weight
    total += target.weight
    if (credits[target.index]! > credits[highest.index]!) highest = target
  }
  credits[highest.index]! -= total
  return highest
}

/** A way to choose among targets. */
export interface BalancingStrategy {
  /** Chooses one of `candidates`, which are eligible and never empty. `now` in epoch milliseconds. */
  readonly choose: (candidates: readonly Target[], x: Exchange, now: number) => Target
  /** The middleware around each try to `target`, for a strategy that measures tries. */
  readonly middlewareFor?: (target: Target) => Middleware
}
