import { within } from '../lib/within.ts'
import type { LimitShard } from '../state/limit-shard.ts'
import { type LimiterSpec, type LimitTally, type StoreLimiter, type Verdict } from './limiter.ts'
import { makeStoreHealth } from './store-health.ts'

/** One object does about 1,000 takes a second; an object for each key would cost files and milliseconds for each. */
export const SHARDS = 32

export interface DurableLimits {
  readonly limiter: (spec: LimiterSpec) => StoreLimiter
  /** Whether any shard does not answer. */
  readonly failing: () => boolean
}

/** Counts in sharded Durable Objects: the keys of its limiters are SHA-256 in hex, whose first byte chooses the shard. */
export function makeDurableLimits(
  namespace: DurableObjectNamespace<LimitShard>,
  now: () => number,
  tally: LimitTally,
  timeoutMs: number,
): DurableLimits {
  const shards = Array.from({ length: SHARDS }, (_, i) => ({
    id: namespace.idFromName(`limits-${i}`),
    health: makeStoreHealth(now),
  }))
  return {
    failing: () => shards.some(({ health }) => health.failing()),
    limiter: (spec) => ({
      async take(key, cost) {
        const { id, health } = shards[parseInt(key.slice(0, 2), 16) % SHARDS]!
        if (!health.usable()) return undefined
        const answer = await within(timeoutMs, () => namespace.get(id).take({ ...spec, key, cost }))
        health.record(answer !== undefined)
        if (answer?.overflowed) tally.overflows++
        return answer satisfies Verdict | undefined
      },
    }),
  }
}
