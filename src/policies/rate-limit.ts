import * as z from 'zod/mini'
import { doc } from '../config/schema/scalars.ts'
import { passThrough, type Middleware } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { definePolicy } from '../core/policy.ts'
import { checkLimiter, limiter, type LimiterConfig } from '../limits/config.ts'
import { compileCost } from '../limits/cost.ts'
import { compileKey, makeDecisionLog } from '../limits/key.ts'
import { policyItem, type FieldOp, type LimiterSpec } from '../limits/limiter.ts'
import { compileWhen, whenText } from '../limits/overrides.ts'
import { compileRouteLimiters, type Quota, type RouteLimiter } from '../limits/route-limiter.ts'
import { limiterCounters } from '../limits/store/limit-log.ts'
import { limitStores, type LimitStores } from '../limits/store/stores.ts'

const config = doc(
  z.array(limiter).check(z.minLength(1, 'expected at least one limiter')),
  'Limits on the request rate of a route. All limiters must pass: those before `auth` first, then local, leased and strict ones.',
)

/** The policy `rateLimit`: counts requests by key and refuses those above the limit with 429. All limiters of a route must pass. */
export const rateLimit = definePolicy({
  name: 'rateLimit',
  config,
  facts: (limiters) => ({
    limitsBeforeAuth: limiters
      .filter(({ before }) => before === 'auth')
      .map(({ key }) => ({ perClient: key.some(({ kind }) => kind === 'ip') })),
    // The cost of a request is set per route.
    sharedCounts: limiters.map((limiter, i) => ({
      path: [i, 'name'],
      name: limiter.name,
      settings: JSON.stringify({ ...limiter, cost: undefined }),
    })),
  }),
  check: (limiters, route) =>
    limiters.flatMap((entry, i) =>
      checkLimiter(entry, limiters.slice(0, i), route).map(({ path, message }) => ({ path: [i, ...path], message })),
    ),
  compile: (limiters, platform) =>
    compileLayer(
      limiters.filter(({ before }) => before === undefined),
      'set',
      platform,
    ),
})

/** The layer of the limiters with `before: "auth"`: they protect authentication and logins, which cost CPU time. */
export const rateLimitBeforeAuth = definePolicy({
  name: 'rateLimit',
  span: 'rateLimit.before-auth',
  config,
  compile(limiters, platform) {
    const early = limiters.filter(({ before }) => before === 'auth')
    // The inner layer has then replaced the origin's fields by its own, if it sets any.
    const innerSetsFields = limiters.some(({ before, mode }) => before === undefined && mode === 'enforce')
    return compileLayer(early, innerSetsFields ? 'append' : 'set', platform)
  },
})

function compileLayer(limiters: readonly LimiterConfig[], op: FieldOp, platform: Platform): Middleware {
  if (limiters.length === 0) return passThrough
  const stores = limitStores(platform)
  return compileRouteLimiters(
    limiters.map((entry) => compileLimiter(entry, stores, platform)),
    op,
    stores.logHealth,
  )
}

function compileLimiter(entry: LimiterConfig, stores: LimitStores, platform: Platform): RouteLimiter {
  const { name, algorithm, limit, burst, window: windowMs, consistency, onStoreError, mode } = entry
  const counters = limiterCounters(platform, name)
  const missing = () => void counters.missingKeys++
  const quota = (settings: { limit: number; burst?: number | undefined }, count: string): Quota => {
    const bucket = algorithm === 'token-bucket' ? (settings.burst ?? settings.limit) : undefined
    const spec: LimiterSpec = { name: count, algorithm, limit: settings.limit, windowMs, burst: bucket }
    // Algorithms store different state: a key belongs to one of them.
    const scope = [count, String(windowMs), ...(algorithm === 'fixed-window' ? [] : [algorithm])]
    return {
      key: compileKey(scope, entry.key, missing),
      local: stores.local(spec),
      store: consistency === 'local' ? undefined : stores[consistency](spec),
      policy: policyItem(name, spec),
    }
  }
  const base = quota({ limit, burst }, name)
  const others = entry.overrides.map((override) => ({
    holds: compileWhen(override.when),
    quota: quota(override, `${name}?${whenText(override.when)}`),
  }))
  const quotaOf = (x: Parameters<RouteLimiter['quotaOf']>[0]) => others.find(({ holds }) => holds(x))?.quota ?? base
  return {
    name,
    quotaOf: others.length === 0 ? () => base : quotaOf,
    consistency,
    cost: compileCost(entry.cost),
    onStoreError,
    shadow: mode === 'shadow',
    counters,
    log: makeDecisionLog(platform, { limiter: name, consistency, ...(mode === 'shadow' && { shadow: true }) }),
  }
}
