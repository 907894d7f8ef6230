import type { LimitShard } from '../state/limit-shard.ts'
import { makeDurableLimits } from './durable.ts'
import { type LimiterSpec, type LimitTally, type LocalLimiter, STORE_TIMEOUT_MS, type StoreLimiter } from './limiter.ts'
import { makeLocalLimits } from './local.ts'
import { rememberRefusals } from './refusals.ts'
import { makeStoreHealth } from './store-health.ts'
import { makeUpstashLimits } from './upstash.ts'

/** The part of `Site` that limits need. */
export interface LimitSite {
  readonly now: () => number
  readonly variable: (name: string) => string | undefined
  readonly secret: (ref: { $secret: string }) => string | undefined
  readonly limits: DurableObjectNamespace<LimitShard>
}

/** Where this deployment counts. */
export interface LimitStores {
  readonly local: (spec: LimiterSpec) => LocalLimiter
  /** In Upstash Redis when its URL and token are set, else in Durable Objects. */
  readonly strict: (spec: LimiterSpec) => StoreLimiter
  readonly tally: LimitTally
  /** The store that strict limiters cannot reach now; undefined when all is well. */
  readonly degraded: () => 'upstash' | 'durable-objects' | undefined
}

const known = new WeakMap<LimitSite, LimitStores>()

/** A site's stores: made once, by the first call, so that a limiter that stands in several routes counts once. */
export function limitStores(site: LimitSite, timeoutMs = STORE_TIMEOUT_MS): LimitStores {
  const stores = known.get(site) ?? makeStores(site, timeoutMs)
  known.set(site, stores)
  return stores
}

function makeStores(site: LimitSite, timeoutMs: number): LimitStores {
  const tally: LimitTally = { missingKeys: 0, overflows: 0, storeFailures: 0 }
  const local = oncePerSpec(makeLocalLimits(site.now, tally))
  const url = site.variable('UPSTASH_REDIS_REST_URL')
  const token = site.secret({ $secret: 'UPSTASH_REDIS_REST_TOKEN' })
  if (url !== undefined && token !== undefined) {
    const health = makeStoreHealth(site.now)
    const limiter = makeUpstashLimits(url, token, site.now, health, timeoutMs)
    const strict = oncePerSpec((spec) => rememberRefusals(limiter(spec), site.now))
    return { local, strict, tally, degraded: () => (health.failing() ? 'upstash' : undefined) }
  }
  const durable = makeDurableLimits(site.limits, site.now, tally, timeoutMs)
  const strict = oncePerSpec((spec) => rememberRefusals(durable.limiter(spec), site.now))
  return { local, strict, tally, degraded: () => (durable.failing() ? 'durable-objects' : undefined) }
}

function oncePerSpec<L>(make: (spec: LimiterSpec) => L): (spec: LimiterSpec) => L {
  const made = new Map<string, L>()
  return (spec) => {
    const id = JSON.stringify([spec.name, spec.limit, spec.windowMs, spec.burst])
    const limiter = made.get(id) ?? make(spec)
    made.set(id, limiter)
    return limiter
  }
}
