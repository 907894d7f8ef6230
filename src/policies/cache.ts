import { cacheConfig, checkCache, checkShared } from '../cache/config.ts'
import { compileRouteCache } from '../cache/route-cache.ts'
import { compileServing } from '../cache/serve.ts'
import { doc } from '../config/schema/scalars.ts'
import { passThrough } from '../core/pipeline.ts'
import { definePolicy } from '../core/policy.ts'

/** Keeps answers and gives them again, as a shared cache may (RFC 9111). */
export const cache = definePolicy({
  name: 'cache',
  config: doc(
    cacheConfig,
    'Keeps answers and gives them again as a shared cache may (RFC 9111). What unsafe methods change on this route is not given any more.',
  ),
  facts: () => ({ needsUpstream: [[]] }),
  check: checkCache,
  checkBeside: checkShared,
  compile(config, platform, route) {
    // Inherited by a route that answers by itself.
    if (route.upstream === undefined) return passThrough
    const routeCache = compileRouteCache(config, platform, route)
    return (next) => compileServing(routeCache, next)
  },
})
