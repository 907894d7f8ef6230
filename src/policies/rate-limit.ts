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
  'How often a route may be called. All limiters must pass, those before `auth` first; of the others local ones are asked first, then leased, then strict.',
)

/** Counts requests by key and refuses those above the limit with 429; all limiters of a route must pass. */
export const rateLimit = definePolicy({
  name: 'rateLimit',
  config,
  facts: (limiters) => ({
    limitsBeforeAuth: limiters
      .filter(({ before }) => before === 'auth')
      .map(({ key }) => ({ perClient: key.some(({ kind }) => kind === 'ip') })),
    // The cost of a request is its route's own.
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

/** The limiters with `before: "auth"`, which are a layer of their own: they shield what `auth` costs, and what a login does. */
export const rateLimitBeforeAuth = definePolicy({
  name: 'rateLimit',
  span: 'rateLimit.before-auth',
  config,
  compile(limiters, platform) {
    const early = limiters.filter(({ before }) => before === 'auth')
    // The layer further in has by then put its own in place of the origin's, if it says anything.
    const saidByThen = limiters.some(({ before, mode }) => before === undefined && mode === 'enforce')
    return compileLayer(early, saidByThen ? 'append' : 'set', platform)
  },
})

function compileLayer(limiters: readonly LimiterConfig[], op: FieldOp, platform: Platform): Middleware {
  if (limiters.length === 0) return passThrough
  const stores = limitStores(platform)
  return compileRouteLimiters(
    limiters.map((entry) => compileGate(entry, stores, platform)),
    op,
    stores.logHealth,
  )
}

function compileGate(entry: LimiterConfig, stores: LimitStores, platform: Platform): RouteLimiter {
  const { name, algorithm, limit, burst, window: windowMs, consistency, onStoreError, mode } = entry
  const tally = limiterCounters(platform, name)
  const missing = () => void tally.missingKeys++
  const quota = (of: { limit: number; burst?: number | undefined }, count: string): Quota => {
    const bucket = algorithm === 'token-bucket' ? (of.burst ?? of.limit) : undefined
    const spec: LimiterSpec = { name: count, algorithm, limit: of.limit, windowMs, burst: bucket }
    // What algorithms keep of a key is not the same: no key means two of them.
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
    counters: tally,
    log: makeDecisionLog(platform, { limiter: name, consistency, ...(mode === 'shadow' && { shadow: true }) }),
  }
}
