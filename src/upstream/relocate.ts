import type { Exchange } from '../core/exchange.ts'
import type { LocationMode } from '../core/policy.ts'

/** Returns the response with URLs of the gateway in place of those of the target; the response itself where there are none. */
export type Relocate = (x: Exchange, response: Response) => Response

/** The part of a target's URL that clients do not know. */
interface Place {
  readonly origin: string
  readonly hostname: string
  /** The path that is put in front of every forwarded one, without a final slash. */
  readonly prefix: string
  /** Whether absolute URLs with the host that the client named are taken for URLs of the target. */
  readonly ownsPublicUrls: boolean
}

/**
 * Compiles how `Location`, `Content-Location`, and `Path` and `Domain` of cookies of the target at `base` become those that a client of the gateway
 * can follow: the inverse of how its path became that of the target. undefined where they are kept. Without a `mode` all are rewritten for a target
 * with a path prefix, and a Location that names the target's own host for any other.
 */
export function compileRelocation(base: string, mode: LocationMode | undefined): Relocate | undefined {
  if (mode === 'keep') return undefined
  const { origin, hostname, pathname } = new URL(base)
  const prefix = pathname === '/' ? '' : pathname
  const rewritesAll = mode === 'rewrite' || prefix !== ''
  const place: Place = { origin, hostname, prefix, ownsPublicUrls: rewritesAll }
  if (rewritesAll) return (x, response) => relocateAll(x, response, place)
  return (x, response) => {
    // Reading a field is a call into the runtime: only where a Location has a meaning (RFC 9110 §10.2.2).
    if (response.status !== 201 && (response.status < 300 || response.status >= 400)) return response
    const location = response.headers.get('location')
    if (location === null || !namesHost(location)) return response
    return withFields(response, { location: relocateUrl(x, location, place) })
  }
}

function relocateAll(x: Exchange, response: Response, place: Place): Response {
  const { headers } = response
  const location = headers.get('location')
  const contentLocation = headers.get('content-location')
  const hasCookies = headers.has('set-cookie')
  if (location === null && contentLocation === null && !hasCookies) return response
  const cookies = hasCookies ? headers.getSetCookie() : []
  const relocated = withFields(response, {
    location: location === null ? undefined : relocateUrl(x, location, place),
    'content-location': contentLocation === null ? undefined : relocateUrl(x, contentLocation, place),
  })
  return withCookies(
    relocated,
    cookies,
    cookies.map((cookie) => relocateCookie(x, cookie, place)),
  )
}

function withFields(response: Response, fields: Readonly<Record<string, string | undefined>>): Response {
  let changed = response
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    if (changed === response) changed = new Response(response.body, response)
    changed.headers.set(name, value)
  }
  return changed
}

function withCookies(response: Response, before: readonly string[], after: readonly string[]): Response {
  if (before.every((cookie, index) => cookie === after[index])) return response
  const changed = new Response(response.body, response)
  changed.headers.delete('set-cookie')
  for (const cookie of after) changed.headers.append('set-cookie', cookie)
  return changed
}

/** `https://host/path` or `//host/path`. */
const namesHost = (reference: string) => /^(?:https?:|\/\/)/i.test(reference)
/** `x`, `../x`, `./x?y`: resolved against the path of the request. Without a path (`?y`, `#z`) a reference means the request's own. */
const isRelative = (reference: string) => !/^(?:[a-z][a-z\d+.-]*:|[/\\?#]|$)/i.test(reference)

/**
 * The reference by which a client reaches what `reference` means at the target; undefined where it stays: another host, a path that the gateway does
 * not forward to, or a relative reference that means the same for the client.
 */
export function relocateUrl(x: Exchange, reference: string, place: Place): string | undefined {
  const fromRequest = isRelative(reference)
  if (!fromRequest && !/^(?:https?:|\/)/i.test(reference)) return undefined
  const url = URL.parse(reference, place.origin + place.prefix + x.outgoing.path)
  if (url === null || url.username !== '' || url.password !== '') return undefined
  const isPublic = url.origin !== place.origin
  if (isPublic && !isPublicUrl(x, url, place)) return undefined
  const path = pathAtGateway(x, url.pathname, place)
  if (path === undefined) return undefined
  if (fromRequest && URL.parse(reference, place.origin + publicPath(x))?.pathname === path) return undefined
  const tail = url.search + url.hash
  if (isPublic) return url.origin + path + tail
  // `//` at the beginning would name another host.
  return (path.startsWith('//') ? '/.' : '') + path + tail
}

/** Whether an origin that reads X-Forwarded-Host has put the gateway's own host before a path of its own. */
function isPublicUrl(x: Exchange, { host, pathname }: URL, { prefix, ownsPublicUrls }: Place): boolean {
  if (!ownsPublicUrls || host !== x.client.host.toLowerCase()) return false
  const { received, sent } = rewrittenPart(x)
  const base = (x.client.prefix ?? '') + received
  // An origin that also knows its path at the gateway has written the whole URL.
  return base.length <= prefix.length + sent.length || !isWithin(pathname, base)
}

/** The path of the request in the client's URL. */
const publicPath = ({ client, path }: Exchange) => (client.prefix ?? '') + path

function pathAtGateway(x: Exchange, path: string, { prefix }: Place): string | undefined {
  if (!isWithin(path, prefix)) return undefined
  const forwarded = path.slice(prefix.length)
  const { received, sent } = rewrittenPart(x)
  if (!isWithin(forwarded, sent)) return undefined
  return (x.client.prefix ?? '') + received + forwarded.slice(sent.length) || '/'
}

/** The parts by which the received and the sent path differ: what is in front of the segments that both end with. */
function rewrittenPart({ path, params, outgoing }: Exchange): { received: string; sent: string } {
  if (path === outgoing.path) return { received: '', sent: '' }
  // `/api` matched by `/api/*` is sent as `/`, and `/api/x` as `/x`.
  if (outgoing.path === '/' && params['*'] === '') return { received: path.replace(/\/$/, ''), sent: '' }
  const received = path.split('/')
  const sent = outgoing.path.split('/')
  while (received.length > 1 && sent.length > 1 && received.at(-1) === sent.at(-1)) {
    received.pop()
    sent.pop()
  }
  return { received: received.join('/'), sent: sent.join('/') }
}

/** Whether `path` is `prefix` or below it. */
const isWithin = (path: string, prefix: string) => path === prefix || path.startsWith(`${prefix}/`)

/** A line of Set-Cookie whose Path and Domain (RFC 6265 §5.2) apply to the gateway. */
export function relocateCookie(x: Exchange, line: string, place: Place): string {
  const [pair = '', ...attributes] = line.split(';')
  // Such a cookie has the path `/` and no domain, or browsers refuse it (RFC 6265bis §4.1.3.2).
  if (/^\s*__host-/i.test(pair)) return line
  const kept = attributes.flatMap((attribute) => {
    const [, name = '', value = ''] = /^\s*([^=\s]*)\s*=?\s*(.*?)\s*$/.exec(attribute) ?? []
    if (name.toLowerCase() === 'domain' && value.toLowerCase().replace(/^\./, '') === place.hostname) return []
    const path = name.toLowerCase() === 'path' ? cookiePathAtGateway(x, value, place) : undefined
    return path === undefined ? [attribute] : [` ${name}=${path}`]
  })
  return [pair, ...kept].join(';')
}

function cookiePathAtGateway(x: Exchange, path: string, { prefix }: Place): string | undefined {
  if (!isWithin(path, prefix)) return undefined
  const forwarded = path.slice(prefix.length)
  const { received, sent } = rewrittenPart(x)
  const base = (x.client.prefix ?? '') + received
  if (isWithin(forwarded, sent)) return base + forwarded.slice(sent.length) || '/'
  // It covers more of the target than the route forwards to.
  return isWithin(sent, forwarded.replace(/\/$/, '')) ? base || '/' : undefined
}
