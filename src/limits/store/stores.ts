import { callObject, type ObjectNamespace } from '../../core/durable-object.ts'
import { perPlatform } from '../../core/platform.ts'
import { makeStoreHealth } from '../../lib/store-health.ts'
import { hashKey } from '../key.ts'
import { makeLeasedLimiter } from '../lease/leased-limiter.ts'
import {
  algorithmOf,
  PROBE,
  STORE_TIMEOUT_MS,
  takeParts,
  takeUpTo,
  type LimiterSpec,
  type LimitPlatform,
  type LimitShardApi,
  type LimitStore,
  type ShardTake,
  type LocalLimiter,
  type StoreCounter,
  type StoreCounters,
  type StoreLimiter,
} from '../limiter.ts'
import { makeLimitLog } from './limit-log.ts'
import { makeLocalLimits } from './local-limits.ts'
import { rememberRefusals } from './refusal-memory.ts'
import { makeUpstashStore } from './upstash-store.ts'

/** The stores in which this deployment counts. */
export interface LimitStores {
  readonly local: (spec: LimiterSpec) => LocalLimiter
  /** In Upstash Redis when its URL and token are set, else in Durable Objects. */
  readonly strict: (spec: LimiterSpec) => StoreLimiter
  /** In the same store and the same counts, with leases in this isolate. */
  readonly leased: (spec: LimiterSpec) => StoreLimiter
  readonly counters: StoreCounters
  /** The store that limiters cannot reach now; undefined when all are reached. */
  readonly degraded: () => 'upstash' | 'durable-objects' | undefined
  /** To be called with each request: writes the warnings that are due. */
  readonly logHealth: () => void
}

/** The stores of a platform's limiters, so that a limiter of several routes counts once. */
export const limitStores = perPlatform(makeStores)

function makeStores(platform: LimitPlatform, timeoutMs = STORE_TIMEOUT_MS): LimitStores {
  const url = platform.variable('UPSTASH_REDIS_REST_URL')
  const token = platform.secret({ $secret: 'UPSTASH_REDIS_REST_TOKEN' })
  const upstash = url !== undefined && token !== undefined
  const kind = upstash ? 'upstash' : 'durable-objects'
  const { turned, logHealth: look } = makeLimitLog(platform, kind, () => counters.overflows)
  const counters: StoreCounters = { overflows: 0, turned }
  const local = oncePerSpec(makeLocalLimits(platform.now, counters))
  const store = upstash
    ? makeUpstashStore(url, token, platform.now, counters, timeoutMs)
    : makeDurableStore(platform.limitShards, platform.now, counters, timeoutMs)
  const strict = oncePerSpec((spec) => rememberRefusals(takeWhole(store, spec), platform.now))
  const leased = oncePerSpec((spec) => makeLeasedLimiter(hashing(store.counter(spec)), spec, platform.now))
  const degraded = () => (store.failing() ? kind : undefined)
  return { local, strict, leased, counters, degraded, logHealth: look }
}

/** Takes the cost of each request from the store: all of it, or nothing. */
function takeWhole(store: LimitStore, spec: LimiterSpec): StoreLimiter {
  const counter = hashing(store.counter(spec))
  return {
    async take(key, cost, waitUntil) {
      const grant = await counter.take(key, { want: cost, atLeast: cost }, waitUntil)
      if (grant === undefined) return undefined
      const { granted, remaining, resetMs, storeNow } = grant
      return { allowed: granted >= cost, remaining, resetMs, decidedAt: storeNow }
    },
    async drain(key, amount, waitUntil) {
      return takeParts(await takeUpTo(counter, key, amount, waitUntil))
    },
  }
}

/** Hashes keys only for a call to the store: most requests of a leased limiter make none. */
function hashing(counter: StoreCounter): StoreCounter {
  return { take: (key, ask, waitUntil) => counter.take(hashKey(key), ask, waitUntil) }
}

function oncePerSpec<L>(make: (spec: LimiterSpec) => L): (spec: LimiterSpec) => L {
  const made = new Map<string, L>()
  return (spec) => {
    const id = JSON.stringify([spec.name, algorithmOf(spec), spec.limit, spec.windowMs, spec.burst])
    const limiter = made.get(id) ?? make(spec)
    made.set(id, limiter)
    return limiter
  }
}

/** One object serves about 1,000 takes per second; an object for each key would cost files and milliseconds each. */
export const LIMIT_SHARDS = 32

/**
 * Counts in sharded Durable Objects: the keys of its limiters are SHA-256 in hex, whose first byte chooses the shard.
 * Each shard fails, pauses and is probed by itself.
 */
export function makeDurableStore(
  namespace: ObjectNamespace<LimitShardApi>,
  now: () => number,
  counters: StoreCounters,
  timeoutMs: number,
): LimitStore {
  let failingShards = 0
  // The shards are one store: its first failing one is its failure, and its last one to respond again its recovery.
  const onChange = (failing: boolean, error?: unknown) => {
    failingShards += failing ? 1 : -1
    if (failingShards === (failing ? 1 : 0)) counters.turned?.(failing, error)
  }
  const shards = Array.from({ length: LIMIT_SHARDS }, (_, i) => ({
    name: `limits-${i}`,
    health: makeStoreHealth(now, timeoutMs, onChange),
  }))
  return {
    failing: () => failingShards > 0,
    counter: (spec) => ({
      async take(key, ask, waitUntil) {
        const { name, health } = shards[parseInt(key.slice(0, 2), 16) % LIMIT_SHARDS]!
        const take = (request: ShardTake) => callObject(namespace, name, timeoutMs, (shard) => shard.take(request))
        const grant = await health.call(
          () => take({ key, spec, ask }),
          () => take(PROBE),
          waitUntil,
        )
        if (grant?.overflowed) counters.overflows++
        return grant
      },
    }),
  }
}
