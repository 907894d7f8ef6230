import type { DeclaredFacts, PolicyFacts, RouteFacts } from '../core/policy.ts'
import { policies } from '../policies/index.ts'
import { paramNames, parsePathPattern } from '../routing/path-pattern.ts'
import type { Config, RouteConfig } from './routes-file.ts'

/** The facts of all policies of a route, in the order in which they run. */
export function declaredFacts({ policies: configs }: Pick<RouteConfig, 'policies'>): DeclaredFacts[] {
  return policies.flatMap((policy) => {
    const config = configOf(configs, policy.name)
    return config == null || policy.facts === undefined ? [] : [{ ...policy.facts(config), policy: policy.name }]
  })
}

/** A route's configuration of the policy `name`; null or undefined where it has none. */
export function configOf(configs: RouteConfig['policies'], name: string): unknown {
  return (configs as Readonly<Record<string, unknown>>)[name]
}

/** The values of one fact, of all policies that declare it. */
export function factsOf<Key extends keyof PolicyFacts>(
  declared: readonly DeclaredFacts[],
  key: Key,
): NonNullable<PolicyFacts[Key]>[] {
  return declared.flatMap((facts) => (facts[key] === undefined ? [] : [facts[key] as NonNullable<PolicyFacts[Key]>]))
}

/** The facts of a route that the checks and the layers of its policies may read. */
export function routeFacts(
  route: RouteConfig,
  config: Pick<Config, 'authProviders'> & { readonly upstreams: Readonly<Record<string, unknown>> },
): RouteFacts {
  const pattern = parsePathPattern(route.match.path)
  const declared = declaredFacts(route)
  return {
    id: route.id,
    params: typeof pattern === 'string' ? [] : paramNames(pattern),
    methods: route.match.methods,
    hasAuth: factsOf(declared, 'authentication').length > 0,
    authProviders: config.authProviders,
    upstream: upstreamName(route),
    upstreams: Object.keys(config.upstreams),
    querySet: factsOf(declared, 'setsQuery').flat(),
    headersSet: [...factsOf(declared, 'setsHeaders').flat(), ...injectedOn(route)],
  }
}

/** The request headers that the policies of a route set, and of which no copy of a client's is forwarded. */
export function injectedOn({ policies: configs }: Pick<RouteConfig, 'policies'>): string[] {
  return policies.flatMap((policy) => {
    const config = configOf(configs, policy.name)
    return config == null ? [] : (policy.injects?.(config) ?? [])
  })
}

/** The name of a route's own upstream; undefined where it responds without one. */
export function upstreamName({ upstream }: Pick<RouteConfig, 'upstream'>): string | undefined {
  return typeof upstream === 'object' ? upstream.name : upstream
}

/** The names of all upstreams that receive requests of a route. */
export function upstreamNames(route: RouteConfig): string[] {
  const own = upstreamName(route)
  const declared = declaredFacts(route)
  const others = [factsOf(declared, 'respondingUpstreams'), factsOf(declared, 'copyingUpstreams')].flat(2)
  return own === undefined ? others : [own, ...others]
}
