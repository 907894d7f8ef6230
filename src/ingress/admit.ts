import type { Config } from '../config/routes-file.ts'
import { METHODS } from '../config/schema/scalars.ts'
import type { Client } from '../core/exchange.ts'
import { policies } from '../policies/index.ts'
import { problem } from '../core/problem.ts'
import { canonicalPath, rawPath, rawSearch } from '../lib/canonical-path.ts'
import { compileRouter, type Found } from '../routing/router.ts'
import { setForwardedHeaders, type ReceivedRequest, exceedsBytes } from './headers.ts'
const MAX_URL_BYTES = 8 * 1024
/** A name or an address, with an optional port (RFC 9110 §7.2); HTTP/1.0 has none at all. */
const HOST = /^(?:(?:[\w-]+(?:\.[\w-]+)*\.?|\[[\da-f:.]+\])(?::\d{1,5})?)?$/i
/** What an origin that decodes `%2F` would resolve: an empty or dot segment beside one. */
const CLIMBS = /(?:\/|%2F)\.{0,2}%2F|%2F\.{0,2}(?:\/|%2F|$)/
const KNOWN_METHODS: ReadonlySet<string> = new Set(METHODS)

/** A request that a route will answer. */
export interface MatchedRoute {
  /** The route's index in the file. */
  readonly index: number
  readonly params: Readonly<Record<string, string>>
  readonly path: string
}

/** Finds the route of a request, or says why there is none: 400, 404, 405, 414, 431, 501; or why not by plain HTTP: 308, 403. */
export type RequestAdmission = (received: ReceivedRequest, client: Client) => MatchedRoute | Response

/** Compiles what every request passes before its route is known. */
export function compileAdmission(config: Config): RequestAdmission {
  const router = compileRouter(config.routes.map((route) => route.match))
  const hasCors = config.routes.map((route) => route.policies.cors != null)
  const transport = compileTransportCheck(
    config.transport.clients,
    config.routes.map((route) => route.insecure === true),
  )
  const keepsSlash = config.routes.map((route) => route.match.encodedSlash === 'keep')

  return ({ request, method, url, headers }, client) => {
    // The runtime builds the URL from whatever Host it was sent: with `gw/secret?` in it, `/secret` would be the path.
    if (!HOST.test(client.host))
      return problem('header-invalid', { detail: 'Host is not a name with an optional port.' })
    if (exceedsBytes(url, MAX_URL_BYTES)) return problem('uri-too-long', { detail: `At most ${MAX_URL_BYTES} bytes.` })
    if (!KNOWN_METHODS.has(method)) return problem('method-not-implemented', { headers: { allow: METHODS.join(', ') } })
    const path = canonicalPath(rawPath(url))
    if (path === undefined) return problem('path-invalid')
    const found = findRoute(router, method, path, request, hasCors)
    if (path.includes('%2F') && !(found.kind === 'route' && keepsSlash[found.index] && !CLIMBS.test(path)))
      return problem('path-invalid')
    if (found.kind === 'none') return problem('not-found')
    if (found.kind === 'method') return problem('method-not-allowed', { headers: { allow: allowed(found.allow) } })
    const elsewhere = transport(request, client, path, found.index)
    if (elsewhere !== undefined) return elsewhere
    if (headers.fault !== undefined) return problem(headers.fault)
    setForwardedHeaders(headers.forwarded, client)
    return { index: found.index, params: found.params, path }
  }
}

/**
 * A CORS preflight belongs to the route of the method that it asks for, if that has `cors`; where no route takes that method, to one of the path
 * that has `cors`, and says no. Else OPTIONS is a method like any other.
 */
function findRoute(
  router: ReturnType<typeof compileRouter>,
  method: string,
  path: string,
  request: Request,
  hasCors: readonly boolean[],
): Found {
  if (method === 'OPTIONS') {
    const wanted = request.headers.get('access-control-request-method')
    const found = wanted === null ? undefined : router(wanted, path, request)
    const candidates = found?.kind === 'method' ? found.allow.map((other) => router(other, path, request)) : [found]
    const answering = candidates.find((one) => one?.kind === 'route' && hasCors[one.index])
    if (answering !== undefined) return answering
  }
  return router(method, path, request)
}

const allowed = (methods: readonly string[]): string => methods.toSorted().join(', ')

/** The headers that policies of this configuration set for origins. */
export function injectedHeaders(config: Config): Set<string> {
  const names = config.routes.flatMap((route) =>
    policies.flatMap((policy) =>
      route.policies[policy.name] == null ? [] : (policy.injects?.(route.policies[policy.name]) ?? []),
    ),
  )
  return new Set(names)
}

/** What a request by plain HTTP is answered for its way alone; undefined when it may go on. */
export type TransportCheck = (request: Request, client: Client, path: string, route: number) => Response | undefined

/**
 * Compiles `transport.clients`; `insecure` says of each route, by index, whether it answers plain HTTP all the same. A redirect keeps method and
 * body (308); what the client has sent by then was readable on the way, which is why refusing is the better choice for an API.
 */
export function compileTransportCheck(
  clients: 'any' | 'https' | 'redirect',
  insecure: readonly boolean[],
): TransportCheck {
  if (clients === 'any') return () => undefined
  return (request, { scheme, host }, path, route) => {
    if (scheme === 'https' || insecure[route]) return undefined
    if (clients === 'https') return problem('https-required')
    const name = host.replace(/:\d+$/, '')
    // HTTP/1.0 need not say what host it means, and there is no better guess.
    if (name === '') return problem('https-required')
    const location = `https://${name}${path}${rawSearch(request.url)}`
    return new Response(null, { status: 308, headers: { location, 'cache-control': 'no-store' } })
  }
}
