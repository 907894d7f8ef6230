import type { Strategy } from './balance.ts'
import type { Target } from '../target.ts'

/** Each candidate in its turn, in proportion to the weights. */
export const roundRobin: Strategy = { choose: takeTurn }

/**
 * Smooth weighted round-robin: each candidate gains its weight, the richest is chosen and pays for all. In every stretch of
 * total-weight turns among the same candidates each one gets exactly its share, spread out.
 */
export function takeTurn(candidates: readonly Target[]): Target {
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
