import * as z from 'zod/mini'
import { checkAuthProvider } from '../auth/config/auth-provider.ts'
import { parseCidr } from '../lib/ip.ts'
import { policies } from '../policies/index.ts'
import { checkSlowCalls, checkUpstream } from '../upstream/config-check.ts'
import { checkOwnIssuers } from './builtin-check.ts'
import { insecureUrls } from './environment.ts'
import { overlappingRoutes } from './overlap.ts'
import { checkPolicy, checkRoute } from './route-check.ts'
import { declaredFacts, factsOf, routeFacts, upstreamNames } from './route-facts.ts'
import type { Config, RouteConfig, WrittenConfig } from './routes-file.ts'
import type { Diagnostic } from './schema/diagnostic.ts'

/** The diagnostics that no single schema can find: unresolved references, contradictions, unreachable routes, settings without effect. `written` is the file before defaults. */
export function crossCheck(config: Config, written: WrittenConfig): Diagnostic[] {
  return [
    ...checkClientAddress(config.clientAddress),
    ...Object.entries(config.authProviders).flatMap(([name, provider]) =>
      checkAuthProvider(provider, written.authProviders![name]!).map(([key, message]) => ({
        path: ['authProviders', name, key],
        message,
      })),
    ),
    ...checkOwnIssuers(config),
    ...checkUpstreams(config, written),
    ...checkHashedClaims(config),
    ...insecureUrls(config, () => undefined),
    ...config.routes.flatMap((route, i) => checkRoute(route, written.routes[i]!, ['routes', i], config)),
    ...duplicateIds(config.routes),
    ...overlappingRoutes(config.routes),
    ...contradictoryCounts(config.routes),
  ]
}

/** Diagnostics of `defaults.policies` that hold for every route: checked as on one route that has the parameters of all routes, and `auth`. */
export function checkDefaults(config: Config, written: WrittenConfig): Diagnostic[] {
  const inherited = written.defaults?.policies
  if (inherited === undefined) return []
  const params = new Set(config.routes.flatMap((route) => routeFacts(route, config).params))
  const facts = {
    id: 'defaults',
    params: [...params],
    methods: undefined,
    hasAuth: true,
    authProviders: config.authProviders,
    upstream: undefined,
    upstreams: Object.keys(config.upstreams),
    querySet: [],
    headersSet: [],
  }
  return policies.flatMap((policy) => {
    const parsed = z.safeParse(policy.config, inherited[policy.name])
    return parsed.success ? checkPolicy(policy, parsed.data, facts, ['defaults', 'policies']) : []
  })
}

function checkClientAddress({ source, trustedProxies }: Config['clientAddress']): Diagnostic[] {
  const path = ['clientAddress', 'trustedProxies']
  if (source === 'x-forwarded-for' && trustedProxies.length === 0)
    return [{ path, message: 'expected the proxies whose X-Forwarded-For is trusted' }]
  if (source !== 'x-forwarded-for' && trustedProxies.length > 0)
    return [
      { path, message: `has no use with the source "${source}"; expected "x-forwarded-for" as clientAddress.source` },
    ]
  return trustedProxies.flatMap((network, i) =>
    parseCidr(network)?.bits === 0
      ? [{ path: [...path, i], message: `"${network}" covers all addresses: each client could claim any address` }]
      : [],
  )
}

function checkUpstreams(config: Config, written: WrittenConfig): Diagnostic[] {
  const longest = new Map<string, number>()
  for (const { upstream } of config.routes) {
    if (typeof upstream !== 'object') continue
    longest.set(upstream.name, Math.max(longest.get(upstream.name) ?? 0, upstream.timeout ?? 0))
  }
  return Object.entries(config.upstreams).flatMap(([name, upstream]) =>
    [
      ...checkUpstream(upstream),
      ...checkSlowCalls(upstream, written.upstreams![name]!, Math.max(upstream.timeout, longest.get(name) ?? 0)),
    ].map(([path, message]) => ({ path: ['upstreams', name, ...path], message })),
  )
}

/** A `hashOn` by claim on an upstream that no authenticated route uses: no request would have the claim, so that nothing would be hashed. */
function checkHashedClaims({ upstreams, routes }: Config): Diagnostic[] {
  return Object.entries(upstreams).flatMap(([name, { hashOn }]) => {
    if (!hashOn?.startsWith('jwt.')) return []
    const callers = routes.filter((route) => upstreamNames(route).includes(name))
    if (callers.length === 0 || callers.some((route) => factsOf(declaredFacts(route), 'authentication').length > 0))
      return []
    const message = `${hashOn} needs the policy "auth" on a route with this upstream`
    return [{ path: ['upstreams', name, 'hashOn'], message }]
  })
}

function duplicateIds(routes: readonly RouteConfig[]): Diagnostic[] {
  const first = new Map<string, number>()
  return routes.flatMap((route, i) => {
    const earlier = first.get(route.id)
    if (earlier === undefined) first.set(route.id, i)
    return earlier === undefined
      ? []
      : [{ path: ['routes', i, 'id'], message: `routes[${earlier}] has the id "${route.id}" already` }]
  })
}

/** Limiters of one name share a count in the whole file, so that their settings must be equal. */
function contradictoryCounts(routes: readonly RouteConfig[]): Diagnostic[] {
  const first = new Map<string, { at: number; settings: string }>()
  return routes.flatMap((route, i) =>
    declaredFacts(route).flatMap(({ policy, sharedCounts = [] }) =>
      sharedCounts.flatMap(({ path, name, settings }) => {
        const earlier = first.get(name) ?? { at: i, settings }
        first.set(name, earlier)
        if (earlier.settings === settings) return []
        const message = `routes[${earlier.at}] has a limiter "${name}" with other settings; limiters of one name share a count`
        return [{ path: ['routes', i, 'policies', policy, ...path], message }]
      }),
    ),
  )
}
