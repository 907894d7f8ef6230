import type { Policy, RouteFacts } from '../core/policy.ts'
import { checkPath } from '../core/template.ts'
import { isConnectionHeader } from '../lib/header.ts'
import { policies } from '../policies/index.ts'
import { parsePathPattern } from '../routing/path-pattern.ts'
import { checkUpstream } from '../upstream/config-check.ts'
import { checkBuiltin } from './builtin-check.ts'
import { configOf, declaredFacts, routeFacts } from './route-facts.ts'
import type { Config, RedirectConfig, RouteConfig, WrittenConfig } from './routes-file.ts'
import { expectedOneOf, valueText, type Diagnostic } from './schema/diagnostic.ts'

const TERMINALS = ['upstream', 'redirect', 'respond', 'builtin'] as const
/** What the runtime refuses to give a body (Fetch standard, null body status). */
const BODILESS = [204, 205, 304]

type Path = Diagnostic['path']

/** What a route's schema cannot see; `written` is the same route before defaults were laid under it. */
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
    ...checkEncodedSlash(route, at),
    ...checkTerminals(route, at),
    ...policies.flatMap((policy) =>
      checkPolicy(policy, configOf(route.policies, policy.name), facts, [...at, 'policies']),
    ),
    ...checkBeside(route, [...at, 'policies']),
    ...checkUpstreamReference(route, at, config),
    ...checkUnsent(route, written, at),
    ...checkRedirect(route, at, facts),
    ...checkRespond(route, at),
    ...checkBuiltin(route, at, config),
  ]
}

/** A path that the door lets in on no route but one that keeps it. */
function checkEncodedSlash({ match }: RouteConfig, at: Path): Diagnostic[] {
  if (match.encodedSlash === 'keep' || !match.path.includes('%2F')) return []
  const message = 'every request with "%2F" is answered 400; expected "encodedSlash": "keep" beside this path'
  return [{ path: [...at, 'match', 'path'], message }]
}

/** What a policy itself has to say of its configuration on a route, `at` being where policies stand. */
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
  const { methods = ['GET'] } = route.match
  if (override.hedge && !methods.some((method) => method === 'GET' || method === 'HEAD'))
    found.push([['hedge'], 'has no use here: only GET and HEAD are hedged'])
  const repeated = override.retry?.methods
  // HEAD follows GET.
  const taken = new Set(methods.includes('GET') ? [...methods, 'HEAD'] : methods)
  if (repeated && route.match.methods && !repeated.some((method) => taken.has(method)))
    found.push([['retry', 'methods'], `has no use here: the route takes only ${methods.join(', ')}`])
  return found.map(([below, message]) => ({ path: [...at, 'upstream', ...below], message }))
}

/** Edits to a request that is sent nowhere. Only the route's own: what it inherits may be meant for others. */
function checkUnsent(route: RouteConfig, written: WrittenConfig['routes'][number], at: Path): Diagnostic[] {
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

/** What the policies of a route have against each other. */
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
  const turns = 'leads back to this route: whoever follows it goes round in a circle'
  const message = checkPath(redirect.path, facts) ?? (leadsBack(redirect, match) ? turns : undefined)
  return message === undefined ? [] : [{ path: [...at, 'redirect', 'path'], message }]
}

/** Whether a client that follows the redirect asks for what it has asked for before. */
function leadsBack({ path, scheme, host, status }: RedirectConfig, match: RouteConfig['match']): boolean {
  // All but 307 and 308 make a GET of a POST, which another route may answer.
  const asked = match.methods === undefined || match.methods.includes('GET') || status >= 307
  const samePlace = scheme === undefined && (host === undefined || match.hosts?.includes(host) === true)
  return asked && samePlace && path === match.path.replaceAll(/:(\w+)/g, '{params.$1}')
}

function checkRespond({ respond }: RouteConfig, at: Path): Diagnostic[] {
  if (respond === undefined) return []
  const ofTheRuntime = Object.keys(respond.headers).filter(isConnectionHeader)
  const found: Diagnostic[] = ofTheRuntime.map((name) => ({
    path: [...at, 'respond', 'headers', name],
    message: 'belongs to the connection, which the runtime keeps: it cannot be set',
  }))
  if (respond.body !== undefined && BODILESS.includes(respond.status))
    found.push({ path: [...at, 'respond', 'body'], message: `a ${respond.status} has no body (RFC 9110 §15)` })
  return found
}
