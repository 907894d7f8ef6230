import { cacheConfig, checkCache, checkShared } from '../cache/config.ts'
import { compileRouteCache } from '../cache/route-cache.ts'
import { compileServing } from '../cache/serve.ts'
import { doc } from '../config/schema/scalars.ts'
import { passThrough } from '../core/pipeline.ts'
import { definePolicy } from '../core/policy.ts'

/** The policy `cache`: stores responses and reuses them, as a shared cache may (RFC 9111). */
export const cache = definePolicy({
  name: 'cache',
  config: doc(
    cacheConfig,
    'Stores responses and reuses them as a shared cache may (RFC 9111). Unsafe methods on this route invalidate what they change.',
  ),
  facts: () => ({ needsUpstream: [[]] }),
  check: checkCache,
  checkBeside: checkShared,
  compile(config, platform, route) {
    // A route without an upstream may inherit the policy.
    if (route.upstream === undefined) return passThrough
    const routeCache = compileRouteCache(config, platform, route)
    return (next) => compileServing(routeCache, next)
  },
})
