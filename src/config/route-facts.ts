import type { RouteFacts } from '../policy.ts'
import { paramNames, parsePathPattern } from '../routing/path-pattern.ts'
import type { Config, RouteConfig } from './routes-file.ts'

/** What a route's policies may know of it. */
export function routeFacts(
  route: RouteConfig,
  config: Pick<Config, 'authProviders'> & { readonly upstreams: Readonly<Record<string, unknown>> },
): RouteFacts {
  const pattern = parsePathPattern(route.match.path)
  return {
    id: route.id,
    params: typeof pattern === 'string' ? [] : paramNames(pattern),
    hasAuth: route.policies.auth != null,
    authProviders: config.authProviders,
    upstream: typeof route.upstream === 'string' ? route.upstream : route.upstream?.name,
    upstreams: Object.keys(config.upstreams),
  }
}
