import type { Diagnostic } from '../config/schema/diagnostic.ts'
import type { RouteFacts } from '../core/policy.ts'
import { checkTemplate } from '../core/template.ts'
import type { CacheConfig } from './config.ts'

/** What the schema of `cache` cannot see. */
export function checkCache(config: CacheConfig, route: RouteFacts): Diagnostic[] {
  const found = [...checkIdentity(config, route), ...checkTags(config, route)]
  if (config.override && config.ttl === undefined && !config.staleWhileRevalidate && !config.staleIfError)
    found.push({ path: ['override'], message: 'expected a "ttl" or a stale time that goes before the origin’s' })
  return found
}

function checkIdentity({ key }: CacheConfig, route: RouteFacts): Diagnostic[] {
  const path = ['key', 'identity']
  const { identity, tenantClaim } = key
  // Inherited by a route that answers by itself.
  if (route.upstream === undefined && route.id !== 'defaults') return []
  const found: Diagnostic[] = []
  if (route.hasAuth && identity === undefined && route.id !== 'defaults')
    found.push({
      path,
      message:
        'this route has "auth": say who shares an answer, "sub" (one caller alone), "tenant" (all with the same claim) or "none" (everybody who is let in)',
    })
  if (!route.hasAuth && identity !== undefined && identity !== 'none')
    found.push({ path, message: `"${identity}" needs the policy "auth" on this route` })
  if (tenantClaim !== undefined && identity !== 'tenant')
    found.push({ path: ['key', 'tenantClaim'], message: 'has no use without "identity": "tenant"' })
  return found
}

function checkTags({ tags }: CacheConfig, route: RouteFacts): Diagnostic[] {
  return tags.flatMap((tag, i) => {
    const message = checkTemplate(tag, route)
    return message === undefined ? [] : [{ path: ['tags', i], message }]
  })
}
