import { compileRequestAttribute, parseRequestAttribute } from '../../core/request-attribute.ts'
import { hash32 } from '../../lib/hash.ts'
import type { Target } from '../target.ts'
import type { BalancingStrategy } from './two-choices.ts'

/**
 * Chooses the same candidate for the same key in every isolate; a request without the key is balanced by `fallback`. When a target is
 * lost only its own keys move, and they spread over the others by weight.
 */
export function consistentHash(hashOn: string, fallback: BalancingStrategy): BalancingStrategy {
  const keyOf = compileRequestAttribute(parseRequestAttribute(hashOn)!)
  return {
    choose: (candidates, x, now) => {
      const key = keyOf(x)
      return key ? rendezvous(candidates, hash32(key)) : fallback.choose(candidates, x, now)
    },
  }
}

/**
 * Weighted rendezvous hashing: each candidate gets an exponentially distributed score from the key, with its weight as the rate; the
 * lowest score wins. A hash ring would need memory, and a walk past ineligible targets.
 */
function rendezvous(candidates: readonly Target[], key: number): Target {
  let winner = candidates[0]!
  let lowest = Infinity
  for (const target of candidates) {
    const score = -Math.log(uniform(key ^ target.seed)) / target.weight
    if (score < lowest) {
      lowest = score
      winner = target
    }
  }
  return winner
}

/** Mixes 32 bits (the finalizer of MurmurHash3), so that similar inputs are uncorrelated, to a number in (0, 1). */
function uniform(bits: number): number {
  let hash = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (((hash ^ (hash >>> 16)) >>> 0) + 0.5) / 2 ** 32
}
