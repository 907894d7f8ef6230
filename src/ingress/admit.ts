import { injectedOn } from '../config/route-facts.ts'
import type { Config } from '../config/routes-file.ts'
import type { Client } from '../core/exchange.ts'
import { problem } from '../core/problem.ts'
import { canonicalPath, rawPath, rawSearch } from '../lib/canonical-path.ts'
import { METHODS } from '../lib/http-method.ts'
import { compileRouter, type Router, type RouteResult } from '../routing/router.ts'
import { isHost } from './client.ts'
import { exceedsBytes, setForwardedHeaders, type ReceivedRequest } from './headers.ts'

const MAX_URL_BYTES = 8 * 1024
/** A dot segment beside `%2F`: an origin that decodes `%2F` would resolve it. */
const ENCODED_DOT_SEGMENT = /(?:\/|%2F)\.{1,2}%2F|%2F\.{1,2}(?:\/|%2F|$)/

/** The route of an admitted request. */
export interface MatchedRoute {
  /** The route's index in the file. */
  readonly index: number
  readonly params: Readonly<Record<string, string>>
  /** Canonical. */
  readonly path: string
}

/** Finds the route of a request, or the refusal: 400, 404, 405, 414, 431 or 501, and for plain HTTP 308 or 403. */
export type RequestAdmission = (received: ReceivedRequest, client: Client) => MatchedRoute | Response

/** Compiles the checks that every request passes before its route is known. */
export function compileAdmission(config: Config): RequestAdmission {
  const router = compileRouter(config.routes.map((route) => route.match))
  const hasCors = config.routes.map((route) => route.policies.cors != null)
  const checkTransport = compileTransportCheck(
    config.transport.clients,
    config.routes.map((route) => route.insecure === true),
  )
  const keepsSlash = config.routes.map((route) => route.match.encodedSlash === 'keep')
  const keepEmpty = config.routes.map(({ match }) => compileSlashes(match))
  const methods = new Set<string>([...METHODS, ...config.routes.flatMap(({ match }) => match.methods ?? [])])

  return (received, client) => {
    const { request, url, headers } = received
    const malformed = checkRequestLine(received, client, methods)
    if (malformed !== undefined) return malformed
    const raw = rawPath(url)
    const path = canonicalPath(raw)
    if (path === undefined) return problem('path-invalid')
    const found = findRoute(router, received, path, client.host, hasCors)
    if (path.includes('%2F') && !(found.kind === 'route' && keepsSlash[found.index] && !ENCODED_DOT_SEGMENT.test(path)))
      return problem('path-invalid')
    if (found.kind === 'none') return problem('not-found')
    if (found.kind === 'method')
      return problem('method-not-allowed', { headers: { allow: found.allow.toSorted().join(', ') } })
    const insecure = checkTransport(request, client, path, found.index)
    if (insecure !== undefined) return insecure
    if (headers.fault !== undefined) return problem(headers.fault)
    setForwardedHeaders(headers.forwarded, client)
    const { index, params } = found
    if (keepEmpty[index] !== undefined && raw.includes('//'))
      return keepEmpty[index](raw, found) ?? problem('path-invalid')
    return { index, params, path }
  }
}

/** A route with its path as it is forwarded; undefined for a path that two servers could read in two ways. */
type EmptySegments = (raw: string, found: Omit<MatchedRoute, 'path'>) => MatchedRoute | undefined

/** Compiles `slashes: "keep"`: the empty segments in what the final `/*` matched stay, those before it are merged. Undefined without `keep`. */
function compileSlashes({ path, slashes }: Config['routes'][number]['match']): EmptySegments | undefined {
  if (slashes !== 'keep') return undefined
  const segments = path.split('/').length - 2
  const prefix = new RegExp(`^(?:/+[^/]+){${segments}}`)
  return (raw, { index, params }) => {
    const whole = canonicalPath(raw, 'keep')
    if (whole === undefined) return undefined
    const [before] = prefix.exec(whole)!
    const rest = whole.slice(before.length)
    const kept = Object.assign(Object.create(null) as Record<string, string>, params, { '*': rest.slice(1) })
    return { index, params: kept, path: before.replaceAll(/\/+/g, '/') + rest }
  }
}

function checkRequestLine(
  { method, url }: ReceivedRequest,
  client: Client,
  methods: ReadonlySet<string>,
): Response | undefined {
  // The runtime builds the URL from the Host field as sent: a Host of `gw/secret?` would make `/secret` the path.
  if (!isHost(client.host)) return problem('header-invalid', { detail: 'Host is not a name with an optional port.' })
  if (exceedsBytes(url, MAX_URL_BYTES)) return problem('uri-too-long', { detail: `At most ${MAX_URL_BYTES} bytes.` })
  if (!methods.has(method)) return problem('method-not-implemented', { headers: { allow: [...methods].join(', ') } })
  return undefined
}

/**
 * The route of a CORS preflight is the route that the announced request could match, if that route has `cors`. If no route takes the announced
 * method, it is any route of the path with `cors`, which refuses the method. Without such a route OPTIONS is matched like any other method.
 */
function findRoute(
  router: Router,
  { request, method, headers: { all } }: ReceivedRequest,
  path: string,
  host: string,
  hasCors: readonly boolean[],
): RouteResult {
  const announcedMethod = method === 'OPTIONS' ? all['access-control-request-method'] : undefined
  if (announcedMethod !== undefined) {
    const announced = new Set((all['access-control-request-headers'] ?? '').toLowerCase().split(/[ \t]*,[ \t]*/))
    const find = (other: string) => router(other, path, request, host, { announced, hasCors })
    const found = find(announcedMethod)
    const candidates = found.kind === 'method' ? found.allow.map(find) : [found]
    const preflight = candidates.find((result) => result.kind === 'route' && hasCors[result.index])
    if (preflight !== undefined) return preflight
  }
  return router(method, path, request, host)
}

/** The refusal or redirect of a request that came by plain HTTP; undefined when the request may go on. */
type TransportCheck = (request: Request, client: Client, path: string, route: number) => Response | undefined

/**
 * Compiles `transport.clients`; `insecure` holds for each route, by index, whether it accepts plain HTTP all the same. A redirect is a 308, which
 * keeps method and body. By then the request has crossed the network in clear text, so for an API `https` (refuse) is better than `redirect`.
 */
function compileTransportCheck(clients: 'any' | 'https' | 'redirect', insecure: readonly boolean[]): TransportCheck {
  if (clients === 'any') return () => undefined
  return (request, { scheme, host, prefix }, path, route) => {
    if (scheme === 'https' || insecure[route]) return undefined
    if (clients === 'https') return problem('https-required')
    const name = host.replace(/:\d+$/, '')
    // HTTP/1.0 may lack Host, and then there is no URL to redirect to.
    if (name === '') return problem('https-required')
    const location = `https://${name}${prefix ?? ''}${path}${rawSearch(request.url)}`
    return new Response(null, { status: 308, headers: { location, 'cache-control': 'no-store' } })
  }
}

/** The request headers that the policies of this configuration set towards origins. */
export function injectedHeaders(config: Config): Set<string> {
  return new Set(config.routes.flatMap(injectedOn))
}
