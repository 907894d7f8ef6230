import type { Policy, RouteFacts } from '../core/policy.ts'
import { checkPath } from '../core/template.ts'
import { isConnectionHeader } from '../lib/header.ts'
import { METHODS } from '../lib/http-method.ts'
import { policies } from '../policies/index.ts'
import { parsePathPattern } from '../routing/path-pattern.ts'
import { checkUpstream } from '../upstream/config-check.ts'
import { checkBuiltin } from './builtin-check.ts'
import { configOf, declaredFacts, routeFacts } from './route-facts.ts'
import type { Config, RedirectConfig, RouteConfig, WrittenConfig } from './routes-file.ts'
import { expectedOneOf, valueText, type Diagnostic } from './schema/diagnostic.ts'

const TERMINALS = ['upstream', 'redirect', 'respond', 'builtin'] as const
/** The statuses of responses without a body (Fetch standard, null body status). */
const BODILESS = [204, 205, 304]

type Path = Diagnostic['path']

/** The diagnostics of a route that its schema cannot find. `written` is the same route before defaults were merged. */
export function checkRoute(
  route: RouteConfig,
  written: WrittenConfig['routes'][number],
  at: Path,
  config: Config,
): Diagnostic[] {
  const pattern = parsePathPattern(route.match.path)
  if (typeof pattern === 'string') {
    const found = pattern.includes('found') ? '' : `, found ${valueText(route.match.path)}`
    return [{ path: [...at, 'match', 'path'], message: `${pattern}${found}` }]
  }
  const facts = routeFacts(route, config)
  return [
    ...facts.params.flatMap((name) =>
      name === '__proto__' ? [{ path: [...at, 'match', 'path'], message: '"__proto__" cannot be a name' }] : [],
    ),
    ...checkEncodedSlash(route, at),
    ...checkSlashes(route, at),
    ...checkTerminals(route, at),
    ...policies.flatMap((policy) =>
      checkPolicy(policy, configOf(route.policies, policy.name), facts, [...at, 'policies']),
    ),
    ...checkBeside(route, [...at, 'policies']),
    ...checkUpstreamReference(route, at, config),
    ...checkNeedsUpstream(route, written, at),
    ...checkRedirect(route, at, facts),
    ...checkRespond(route, at),
    ...checkBuiltin(route, at, config),
  ]
}

/** A `%2F` in the path of a route without `encodedSlash`: the ingress refuses all of its requests. */
function checkEncodedSlash({ match }: RouteConfig, at: Path): Diagnostic[] {
  if (match.encodedSlash === 'keep' || !match.path.includes('%2F')) return []
  const message = 'every request with "%2F" is answered 400; expected "encodedSlash": "keep" beside this path'
  return [{ path: [...at, 'match', 'path'], message }]
}

function checkSlashes({ match }: RouteConfig, at: Path): Diagnostic[] {
  if (match.slashes !== 'keep' || match.path.endsWith('/*')) return []
  const message = 'empty segments are kept in what a final "/*" matches, and this path has none'
  return [{ path: [...at, 'match', 'slashes'], message }]
}

/** The diagnostics of a policy's own check. `at` is the path of `policies`. */
export function checkPolicy(policy: Policy, config: unknown, facts: RouteFacts, at: Path): Diagnostic[] {
  if (config == null) return []
  const diagnostics = policy.check?.(config, facts) ?? []
  return diagnostics.map(({ path, message }) => ({ path: [...at, policy.name, ...path], message }))
}

function checkTerminals(route: RouteConfig, at: Path): Diagnostic[] {
  const found = TERMINALS.filter((name) => route[name] !== undefined)
  if (found.length === 1) return []
  const message = `expected exactly one of ${TERMINALS.join(', ')}; found ${found.join(' and ') || 'none'}`
  return [{ path: at, message }]
}

function checkUpstreamReference(route: RouteConfig, at: Path, config: Config): Diagnostic[] {
  if (route.upstream === undefined) return []
  const { name, ...override } = typeof route.upstream === 'string' ? { name: route.upstream } : route.upstream
  const path = [...at, 'upstream', ...(typeof route.upstream === 'string' ? [] : ['name'])]
  const base = Object.hasOwn(config.upstreams, name) ? config.upstreams[name] : undefined
  if (base === undefined)
    return [{ path, message: `no upstream "${name}"; ${expectedOneOf(name, Object.keys(config.upstreams))}` }]
  const timeout = override.timeout ?? base.timeout
  const retry = override.retry === undefined ? base.retry : (override.retry ?? undefined)
  const hedge = override.hedge === undefined ? base.hedge : (override.hedge ?? undefined)
  const ofBase = new Set(checkUpstream(base).map(([, message]) => message))
  const found = checkUpstream({ timeout, retry, hedge }).filter(([, message]) => !ofBase.has(message))
  const { methods = METHODS }: { methods?: readonly string[] | undefined } = route.match
  if (override.hedge && !methods.some((method) => method === 'GET' || method === 'HEAD'))
    found.push([['hedge'], 'has no use here: only GET and HEAD are hedged'])
  const retried = override.retry?.methods
  // HEAD follows GET.
  const accepted = new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods)
  if (retried && !retried.some((method) => accepted.has(method)))
    found.push([['retry', 'methods'], `has no use here: the route takes only ${methods.join(', ')}`])
  return found.map(([below, message]) => ({ path: [...at, 'upstream', ...below], message }))
}

/** Policies that need an upstream on a route without one. Only the route's own: inherited ones may be meant for other routes. */
function checkNeedsUpstream(route: RouteConfig, written: WrittenConfig['routes'][number], at: Path): Diagnostic[] {
  const terminal = TERMINALS.find((name) => route[name] !== undefined)
  if (terminal === undefined || terminal === 'upstream') return []
  const own: unknown = written.policies ?? {}
  const message = `has no use beside "${terminal}": no request is sent on`
  return declaredFacts(route).flatMap(({ policy, needsUpstream = [] }) =>
    needsUpstream
      .map((below) => [policy, ...below])
      .filter((path) => valueAt(own, path) != null)
      .map((path) => ({ path: [...at, 'policies', ...path], message })),
  )
}

function valueAt(value: unknown, path: Path): unknown {
  return path.reduce((inner, step) => (inner as Readonly<Record<string, unknown>> | null | undefined)?.[step], value)
}

/** The contradictions between the policies of a route. */
function checkBeside(route: RouteConfig, at: Path): Diagnostic[] {
  const declared = declaredFacts(route)
  return policies.flatMap((policy) => {
    const config = configOf(route.policies, policy.name)
    const found = config == null ? [] : (policy.checkBeside?.(config, declared) ?? [])
    return found.map(({ path, message }) => ({ path: [...at, ...path], message }))
  })
}

function checkRedirect({ redirect, match }: RouteConfig, at: Path, facts: RouteFacts): Diagnostic[] {
  if (redirect === undefined) return []
  const loops = 'leads back to this route: an endless redirect'
  if (redirect.port !== undefined && /:\d+$/.test(redirect.host ?? ''))
    return [{ path: [...at, 'redirect', 'port'], message: 'has no use beside a "host" with a port' }]
  const message = checkPath(redirect.path, facts) ?? (leadsBack(redirect, match) ? loops : undefined)
  return message === undefined ? [] : [{ path: [...at, 'redirect', 'path'], message }]
}

/** Whether a client that follows the redirect sends the same request again. */
function leadsBack({ path, scheme, host, port, status }: RedirectConfig, match: RouteConfig['match']): boolean {
  // After a status other than 307 and 308 the client may send GET, which another route may match (RFC 9110 §15.4).
  const sameMethod = match.methods === undefined || match.methods.includes('GET') || status >= 307
  const sameHost =
    scheme === undefined && port === undefined && (host === undefined || match.hosts?.includes(host) === true)
  return sameMethod && sameHost && path === match.path.replaceAll(/:(\w+)/g, '{params.$1}')
}

function checkRespond({ respond }: RouteConfig, at: Path): Diagnostic[] {
  if (respond === undefined) return []
  const reserved = Object.keys(respond.headers).filter(isConnectionHeader)
  const found: Diagnostic[] = reserved.map((name) => ({
    path: [...at, 'respond', 'headers', name],
    message: 'belongs to the connection, which the runtime controls: it cannot be set',
  }))
  if (respond.body !== undefined && BODILESS.includes(respond.status))
    found.push({ path: [...at, 'respond', 'body'], message: `a ${respond.status} has no body (RFC 9110 §15)` })
  return found
}
