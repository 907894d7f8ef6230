import { configOf } from '../config/route-facts.ts'
import type { Config } from '../config/routes-file.ts'
import { METHODS } from '../config/schema/scalars.ts'
import type { Client } from '../core/exchange.ts'
import { problem } from '../core/problem.ts'
import { canonicalPath, rawPath, rawSearch } from '../lib/canonical-path.ts'
import { policies } from '../policies/index.ts'
import { compileRouter, type RouteResult } from '../routing/router.ts'
import { exceedsBytes, setForwardedHeaders, type ReceivedRequest } from './headers.ts'

const MAX_URL_BYTES = 8 * 1024
/** A name or an address, with an optional port (RFC 9110 §7.2); HTTP/1.0 has none at all. */
const HOST = /^(?:(?:[\w-]+(?:\.[\w-]+)*\.?|\[[\da-f:.]+\])(?::\d{1,5})?)?$/i
/** An empty or dot segment beside `%2F`: an origin that decodes `%2F` would resolve it. */
const ENCODED_DOT_SEGMENT = /(?:\/|%2F)\.{0,2}%2F|%2F\.{0,2}(?:\/|%2F|$)/
const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS)

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

  return (received, client) => {
    const { request, method, url, headers } = received
    const malformed = checkRequestLine(received, client)
    if (malformed !== undefined) return malformed
    const path = canonicalPath(rawPath(url))
    if (path === undefined) return problem('path-invalid')
    const found = findRoute(router, method, path, request, hasCors)
    if (path.includes('%2F') && !(found.kind === 'route' && keepsSlash[found.index] && !ENCODED_DOT_SEGMENT.test(path)))
      return problem('path-invalid')
    if (found.kind === 'none') return problem('not-found')
    if (found.kind === 'method')
      return problem('method-not-allowed', { headers: { allow: found.allow.toSorted().join(', ') } })
    const insecure = checkTransport(request, client, path, found.index)
    if (insecure !== undefined) return insecure
    if (headers.fault !== undefined) return problem(headers.fault)
    setForwardedHeaders(headers.forwarded, client)
    return { index: found.index, params: found.params, path }
  }
}

function checkRequestLine({ method, url }: ReceivedRequest, client: Client): Response | undefined {
  // The runtime builds the URL from the Host field as sent: a Host of `gw/secret?` would make `/secret` the path.
  if (!HOST.test(client.host)) return problem('header-invalid', { detail: 'Host is not a name with an optional port.' })
  if (exceedsBytes(url, MAX_URL_BYTES)) return problem('uri-too-long', { detail: `At most ${MAX_URL_BYTES} bytes.` })
  if (!KNOWN_METHODS.has(method)) return problem('method-not-implemented', { headers: { allow: METHODS.join(', ') } })
  return undefined
}

/**
 * The route of a CORS preflight is the route of the method that it announces, if that route has `cors`. If no route takes that method,
 * it is any route of the path with `cors`, which refuses the method. Without such a route OPTIONS is matched like any other method.
 */
function findRoute(
  router: ReturnType<typeof compileRouter>,
  method: string,
  path: string,
  request: Request,
  hasCors: readonly boolean[],
): RouteResult {
  if (method === 'OPTIONS') {
    const announced = request.headers.get('access-control-request-method')
    const found = announced === null ? undefined : router(announced, path, request)
    const candidates = found?.kind === 'method' ? found.allow.map((other) => router(other, path, request)) : [found]
    const preflight = candidates.find((result) => result?.kind === 'route' && hasCors[result.index])
    if (preflight !== undefined) return preflight
  }
  return router(method, path, request)
}

/** The refusal or redirect of a request that came by plain HTTP; undefined when the request may go on. */
type TransportCheck = (request: Request, client: Client, path: string, route: number) => Response | undefined

/**
 * Compiles `transport.clients`; `insecure` holds for each route, by index, whether it accepts plain HTTP all the same. A redirect is a 308, which
 * keeps method and body. By then the request has crossed the network in clear text, so for an API `https` (refuse) is better than `redirect`.
 */
function compileTransportCheck(clients: 'any' | 'https' | 'redirect', insecure: readonly boolean[]): TransportCheck {
  if (clients === 'any') return () => undefined
  return (request, { scheme, host }, path, route) => {
    if (scheme === 'https' || insecure[route]) return undefined
    if (clients === 'https') return problem('https-required')
    const name = host.replace(/:\d+$/, '')
    // HTTP/1.0 may lack Host, and then there is no URL to redirect to.
    if (name === '') return problem('https-required')
    const location = `https://${name}${path}${rawSearch(request.url)}`
    return new Response(null, { status: 308, headers: { location, 'cache-control': 'no-store' } })
  }
}

/** The request headers that the policies of this configuration set towards origins. */
export function injectedHeaders(config: Config): Set<string> {
  const names = config.routes.flatMap((route) =>
    policies.flatMap((policy) => {
      const policyConfig = configOf(route.policies, policy.name)
      return policyConfig == null ? [] : (policy.injects?.(policyConfig) ?? [])
    }),
  )
  return new Set(names)
}
