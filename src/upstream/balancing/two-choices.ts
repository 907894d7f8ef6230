import type { Exchange } from '../../core/exchange.ts'
import type { Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import type { Target } from '../target.ts'

/**
 * The power of two choices: the candidate whose turn it is, unless another, drawn by weight, is `better`. Two are enough to keep
 * away from a bad one, and unlike "the best of all" they do not send every isolate to the same target at once. Where the two are
 * even the turn decides, so that the shares are those of the weights.
 */
export function chooseOfTwo(
  candidates: readonly Target[],
  random: () => number,
  better: (other: Target, next: Target, now: number) => boolean,
  now: number,
): Target {
  const next = nextInTurn(candidates)
  const other = drawOther(candidates, next, random)
  return better(other, next, now) ? other : next
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

/** Of two candidates the one with fewer tries in flight for its weight; where that makes no difference, the one whose turn it is. */
export function leastRequests({ random }: Pick<Platform, 'random'>): BalancingStrategy {
  return { choose: (candidates, _, now) => chooseOfTwo(candidates, random, isLessLoaded, now) }
}

/** Whether `other` would carry no more for its weight with this try than `next` does without it. Among equals: whether it carries less. */
function isLessLoaded(other: Target, next: Target): boolean {
  return (other.inFlight + 1) * next.weight <= next.inFlight * other.weight
}

/** Each candidate in its turn, in proportion to the weights. */
export const roundRobin: BalancingStrategy = { choose: nextInTurn }

/**
 * Smooth weighted round-robin: each candidate gains its weight, the richest is chosen and pays for all. In every stretch of
 * total-weight turns among the same candidates each one gets exactly its share, spread out.
 */
export function nextInTurn(candidates: readonly Target[]): Target {
  let richest: Target | undefined
  let total = 0
  for (const target of candidates) {
    target.credit += target.weight
    total += target.weight
    if (richest === undefined || target.credit > richest.credit) richest = target
  }
  richest!.credit -= total
  return richest!
}

/** A way to choose among targets. */
export interface BalancingStrategy {
  /** One of `candidates`, all of which may be used and which are never none. `now` in epoch milliseconds. */
  readonly choose: (candidates: readonly Target[], x: Exchange, now: number) => Target
  /** Goes around each try, for a strategy that learns from them. */
  readonly around?: (target: Target) => Middleware
}
