import type { LimitShard } from './limit-shard.ts'
import type { LimitStore, LimitTally } from '../limiter.ts'
import { makeStoreHealth, PROBE } from '../../lib/store-health.ts'

/** One object does about 1,000 takes a second; an object for each key would cost files and milliseconds for each. */
export const SHARDS = 32

/**
 * Counts in sharded Durable Objects: the keys of its limiters are SHA-256 in hex, whose first byte chooses the shard.
 * Each shard fails, rests and is probed for itself.
 */
export function makeDurableStore(
  namespace: DurableObjectNamespace<LimitShard>,
  now: () => number,
  tally: LimitTally,
  timeoutMs: number,
): LimitStore {
  const shards = Array.from({ length: SHARDS }, (_, i) => ({
    id: namespace.idFromName(`limits-${i}`),
    health: makeStoreHealth(now, timeoutMs, tally.turned),
  }))
  return {
    failing: () => shards.some(({ health }) => health.failing()),
    counter: (spec) => ({
      async take(key, ask, waitUntil) {
        const { id, health } = shards[parseInt(key.slice(0, 2), 16) % SHARDS]!
        const stub = () => namespace.get(id)
        const answer = await health.ask(
          async () => await stub().take({ key, spec, ask }),
          async () => await stub().take(PROBE),
          waitUntil,
        )
        if (answer?.overflowed) tally.overflows++
        return answer
      },
    }),
  }
}
