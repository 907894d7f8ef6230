import type { RouteFacts } from '../core/policy.ts'
import { paramNames, parsePathPattern } from '../routing/path-pattern.ts'
import type { Config, RouteConfig } from './routes-file.ts'

/** What is read here of those policies' configuration. */
type RewriteConfig = { readonly query?: { readonly set: object } | undefined } | null | undefined
type HeadersConfig = { readonly request?: { readonly set?: object } | undefined } | null | undefined

/** What a route's policies may know of it. */
export function routeFacts(
  route: RouteConfig,
  config: Pick<Config, 'authProviders'> & { readonly upstreams: Readonly<Record<string, unknown>> },
): RouteFacts {
  const pattern = parsePathPattern(route.match.path)
  return {
    id: route.id,
    params: typeof pattern === 'string' ? [] : paramNames(pattern),
    methods: route.match.methods,
    hasAuth: route.policies.auth != null,
    authProviders: config.authProviders,
    upstream: typeof route.upstream === 'string' ? route.upstream : route.upstream?.name,
    upstreams: Object.keys(config.upstreams),
    querySet: Object.keys((route.policies.rewrite as RewriteConfig)?.query?.set ?? {}),
    headersSet: namesOf((route.policies.headers as HeadersConfig)?.request?.set),
  }
}

const namesOf = (fields: object = {}): string[] => Object.keys(fields).map((name) => name.toLowerCase())
