import { compileRequestAttribute, parseRequestAttribute } from '../../core/request-attribute.ts'
import { hash32 } from '../../lib/hash.ts'
import type { Target } from '../target.ts'
import type { BalancingStrategy } from './two-choices.ts'

/**
 * The same candidate for the same key, in every isolate; a request without the key goes to `otherwise`. When a target is lost
 * only its own keys move, and they spread over the others by weight.
 */
export function consistentHash(hashOn: string, otherwise: BalancingStrategy): BalancingStrategy {
  const keyOf = compileRequestAttribute(parseRequestAttribute(hashOn)!)
  return {
    choose: (candidates, x, now) => {
      const key = keyOf(x)
      return key ? rendezvous(candidates, hash32(key)) : otherwise.choose(candidates, x, now)
    },
  }
}

/**
 * Weighted rendezvous hashing: each candidate draws a number from the key, and the one that draws the shortest wait of an
 * exponential distribution with its weight as the rate has won. A ring of points would need memory and walk past whatever is out.
 */
function rendezvous(candidates: readonly Target[], key: number): Target {
  let nearest = candidates[0]!
  let shortest = Infinity
  for (const target of candidates) {
    const wait = -Math.log(uniform(key ^ target.seed)) / target.weight
    if (wait < shortest) {
      shortest = wait
      nearest = target
    }
  }
  return nearest
}

/** 32 bits, stirred so that neighbours have nothing in common (the finalizer of MurmurHash3), as a number in (0, 1). */
function uniform(bits: number): number {
  let hash = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (((hash ^ (hash >>> 16)) >>> 0) + 0.5) / 2 ** 32
}
