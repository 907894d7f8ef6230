import { isConnectionHeader } from '../lib/header.ts'
import { policies } from '../policies/index.ts'
import type { Policy, RouteFacts } from '../core/policy.ts'
import { parsePathPattern, paramNames } from '../routing/path-pattern.ts'
import { checkPath } from '../core/template.ts'
import { checkAdmin, checkBootstrap } from './admin-check.ts'
import { checkCached } from './cached-request-check.ts'
import { expectedOneOf, valueText, type Diagnostic } from './schema/diagnostic.ts'
import { checkOAuth } from './oauth-check.ts'
import type { Config, RedirectConfig, RouteConfig, WrittenConfig } from './routes-file.ts'
import { checkUpstream } from '../upstream/config-check.ts'
import type { RequestAttribute } from '../core/request-attribute.ts'

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
    ...policies.flatMap((policy) => checkPolicy(policy, route.policies[policy.name], facts, [...at, 'policies'])),
    ...checkUpstreamReference(route, at, config),
    ...checkUnsent(route, written, at),
    ...checkCopies(route, at),
    ...checkCached(route, at),
    ...checkRedirect(route, at, facts),
    ...checkRespond(route, at),
    ...checkAdmin(route, at),
    ...checkToken(route, at),
    ...checkBootstrap(route, at, config),
    ...checkOAuth(route, at, config),
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
  const own = (written.policies ?? {}) as Readonly<Record<string, { request?: object } | null>>
  const unused = ['rewrite', 'cache', 'split', 'mirror'].filter((name) => own[name] != null).map((name) => [name])
  if (own.headers?.request !== undefined) unused.push(['headers', 'request'])
  const message = `has no use beside "${terminal}": no request is sent on`
  return unused.map((path) => ({ path: [...at, 'policies', ...path], message }))
}

/** An upstream that answers some of the requests and gets copies of the others: the copies could open its breaker, or fill it up. */
function checkCopies({ policies: { split, mirror } }: RouteConfig, at: Path): Diagnostic[] {
  const copied = (mirror as { upstream: string } | null | undefined)?.upstream
  const shares = (split ?? []) as { upstream: string }[]
  if (!shares.some(({ upstream }) => upstream === copied)) return []
  const message = `"${copied}" answers a share of this route’s requests (split), which copies could harm; expected another upstream, which may have the same targets`
  return [{ path: [...at, 'policies', 'mirror', 'upstream'], message }]
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

/** Refuses a `builtin: token` at which passwords can be tried without end, or at which one caller can lock out all others; `at` is where the route stands. */
export function checkToken({ builtin, policies }: RouteConfig, at: Diagnostic['path']): Diagnostic[] {
  if (builtin !== 'token') return []
  const limiters = (policies.rateLimit ?? []) as readonly {
    readonly before?: string
    readonly key: readonly RequestAttribute[]
  }[]
  const early = limiters.filter(({ before }) => before === 'auth')
  if (early.some(({ key }) => key.some(({ kind }) => kind === 'ip'))) return []
  const message =
    early.length === 0
      ? 'whoever gets here can try passwords; expected a limiter with "before": "auth", such as 5 a minute for each "client.ip"'
      : 'one caller could use up what all have together to log in; expected "client.ip" in the "key" of a limiter with "before": "auth"'
  return [{ path: [...at, 'policies', 'rateLimit'], message }]
}

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
