import { policies } from '../policies/index.ts'
import type { RouteFacts } from '../policy.ts'
import { parsePathPattern } from '../routing/path-pattern.ts'
import { checkPath } from '../template.ts'
import { checkAuthProvider } from './auth-provider.ts'
import { expectedOneOf, type Complaint } from './complaint.ts'
import { indistinguishableRoutes } from './overlap.ts'
import { routeFacts } from './route-facts.ts'
import type { Config, RouteConfig } from './routes-file.ts'
import { checkUpstream } from './upstream.ts'

const TERMINALS = ['upstream', 'redirect', 'respond', 'builtin'] as const

/** What no part's own schema can see: references, contradictions, routes that nothing can reach. */
export function crossCheck(config: Config): Complaint[] {
  return [
    ...Object.entries(config.authProviders).flatMap(([name, provider]) =>
      checkAuthProvider(provider).map(([key, message]) => ({ path: ['authProviders', name, key], message })),
    ),
    ...Object.entries(config.upstreams).flatMap(([name, upstream]) =>
      checkUpstream(upstream).map(([path, message]) => ({ path: ['upstreams', name, ...path], message })),
    ),
    ...config.routes.flatMap((route, i) => checkRoute(route, ['routes', i], config)),
    ...duplicateIds(config.routes),
    ...indistinguishableRoutes(config.routes),
    ...contradictoryLimits(config.routes),
  ]
}

function checkRoute(route: RouteConfig, at: Complaint['path'], config: Config): Complaint[] {
  const pattern = parsePathPattern(route.match.path)
  if (typeof pattern === 'string') return [{ path: [...at, 'match', 'path'], message: pattern }]
  const terminals = TERMINALS.filter((name) => route[name] !== undefined)
  const found: Complaint[] = []
  if (terminals.length !== 1) {
    found.push({
      path: at,
      message: `expected exactly one of ${TERMINALS.join(', ')}; found ${terminals.join(' and ') || 'none'}`,
    })
  }
  const facts = routeFacts(route, config)
  for (const policy of policies) {
    const policyConfig = route.policies[policy.name]
    if (policyConfig == null) continue
    const complaints = policy.check?.(policyConfig, facts) ?? []
    found.push(...complaints.map(({ path, message }) => ({ path: [...at, 'policies', policy.name, ...path], message })))
  }
  return [...found, ...checkUpstreamReference(route, at, config), ...checkRedirect(route, at, facts)]
}

function checkUpstreamReference(route: RouteConfig, at: Complaint['path'], config: Config): Complaint[] {
  if (route.upstream === undefined) return []
  const { name, ...override } = typeof route.upstream === 'string' ? { name: route.upstream } : route.upstream
  const path = [...at, 'upstream', ...(typeof route.upstream === 'string' ? [] : ['name'])]
  const base = Object.hasOwn(config.upstreams, name) ? config.upstreams[name] : undefined
  if (base === undefined)
    return [{ path, message: `no upstream "${name}"; ${expectedOneOf(name, Object.keys(config.upstreams))}` }]
  const timeout = override.timeout ?? base.timeout
  const retry = override.retry === undefined ? base.retry : (override.retry ?? undefined)
  if (Object.keys(override).length === 0) return []
  return checkUpstream({ timeout, retry }).map(([below, message]) => ({ path: [...at, 'upstream', ...below], message }))
}

function checkRedirect(route: RouteConfig, at: Complaint['path'], facts: RouteFacts): Complaint[] {
  const message = route.redirect && checkPath(route.redirect.path, facts)
  return message === undefined ? [] : [{ path: [...at, 'redirect', 'path'], message }]
}

function duplicateIds(routes: readonly RouteConfig[]): Complaint[] {
  const first = new Map<string, number>()
  return routes.flatMap((route, i) => {
    const earlier = first.get(route.id)
    if (earlier === undefined) first.set(route.id, i)
    return earlier === undefined
      ? []
      : [{ path: ['routes', i, 'id'], message: `routes[${earlier}] has the id "${route.id}" already` }]
  })
}

/** Limiters of one name share their counts wherever they stand, so they must count the same. */
function contradictoryLimits(routes: readonly RouteConfig[]): Complaint[] {
  const first = new Map<string, { at: number; text: string }>()
  return routes.flatMap((route, i) => {
    const limiters = (route.policies.rateLimit ?? []) as { name: string }[]
    return limiters.flatMap((limiter, j) => {
      const text = JSON.stringify(limiter)
      const earlier = first.get(limiter.name) ?? { at: i, text }
      first.set(limiter.name, earlier)
      if (earlier.text === text) return []
      const message = `a limiter "${limiter.name}" with other settings stands in routes[${earlier.at}]; one name is one count everywhere`
      return [{ path: ['routes', i, 'policies', 'rateLimit', j, 'name'], message }]
    })
  })
}
