import { parseHttpDate } from '../../lib/http-date.ts'
import { responseDirectives, type ResponseDirectives } from './directives.ts'
import { fieldsOf, type Fields, type StoredHead } from './entry.ts'

/** The lifetimes that a route configures for its responses, in seconds. */
export interface RouteLife {
  /** From the arrival of a response; for responses without a lifetime of the origin, and with `override` for all. */
  readonly ttl?: number | undefined
  readonly override: boolean
  /** Where the origin states none; with `override` in place of the origin's. */
  readonly staleWhileRevalidate?: number | undefined
  readonly staleIfError?: number | undefined
}

/** The lifetimes of a stored response, in seconds. */
export interface FreshnessLifetime {
  /** The freshness lifetime (RFC 9111 §4.2.1): the response is fresh while its age is less. */
  readonly lifetime: number
  readonly from: 's-maxage' | 'max-age' | 'expires' | 'route' | 'heuristic' | 'none'
  /** After the freshness lifetime: how long it may be used while it is revalidated, and when the origin fails (RFC 5861). */
  readonly staleWhileRevalidate: number
  readonly staleIfError: number
  /** Whether the origin forbids stale use, also where a client allows it (RFC 9111 §4.2.4). */
  readonly forbidsStale: boolean
  /** Whether it must be validated even while it is fresh. */
  readonly noCache: boolean
}

/** The parts of a response that determine its age and lifetimes. */
export type Datable = Pick<StoredHead, 'status' | 'headers' | 'requestTime' | 'responseTime'>

/**
 * Heuristically cacheable statuses (RFC 9110 §15.1). Omitted although listed there: 206, which is judged as a 200, and 405, 414 and 501,
 * which one unusual request could cause for all other clients.
 */
export const HEURISTIC_STATUSES: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 410])

const HEURISTIC_FRACTION = 0.1
const MOST_HEURISTIC_S = 86_400

/** How long a response with a validator is kept after its lifetime: a 304 then saves the transfer of its body. */
const KEPT_FOR_VALIDATION_S = 3_600

/** The age of a stored response in whole seconds, the value of `Age` (RFC 9111 §4.2.3). */
export function ageAt(head: Datable, now: number): number {
  return Math.floor(exactAge(head, now, fieldsOf(head.headers)))
}

/** The age in seconds, with a fraction. */
export function exactAge(head: Datable, now: number, fields: Fields): number {
  // A clock that steps back makes no response younger than at its arrival.
  return initialAge(head, fields) + Math.max(0, now - head.responseTime) / 1000
}

const initialAges = new WeakMap<Datable, number>()

/** The age of a response at its arrival, in seconds: the larger of those from its Date and its Age. Computed once for a stored response in memory. */
function initialAge(head: Datable, fields: Fields): number {
  const known = initialAges.get(head)
  if (known !== undefined) return known
  const age = computeInitialAge(head, fields)
  initialAges.set(head, age)
  return age
}

function computeInitialAge({ requestTime, responseTime }: Datable, fields: Fields): number {
  const date = dateOf(fields, responseTime)
  const apparentAge = Math.max(0, Math.floor(responseTime / 1000) - date / 1000)
  const delay = Math.max(0, responseTime - requestTime) / 1000
  return Math.max(apparentAge, ageField(fields) + delay)
}

/** The first of several members counts; a value that is not a number is ignored (RFC 9111 §5.1). */
function ageField(fields: Fields): number {
  const first = fields.get('age')?.split(',', 1)[0]?.trim() ?? ''
  return /^\d+$/.test(first) ? Math.min(Number(first), 2 ** 31) : 0
}

/** The origin's Date, otherwise the time of arrival (RFC 9110 §6.6.1). */
export function dateOf(fields: Fields, responseTime: number): number {
  const date = fields.get('date')
  return (date === null ? undefined : parseHttpDate(date, responseTime)) ?? responseTime
}

/** The lifetimes of a response: the origin's, or the route's where the origin states none or is overridden. */
export function freshnessOf(
  head: Datable,
  route: RouteLife,
  fields: Fields = fieldsOf(head.headers),
  said: ResponseDirectives = responseDirectives(fields),
): FreshnessLifetime {
  const [lifetime, from] = lifetimeOf(head, route, fields, said)
  const mustNotBeStale = said.noCache || said.mustRevalidate || said.proxyRevalidate
  // s-maxage means proxy-revalidate too (RFC 9111 §5.2.2.10), unless its sender itself allows stale use beside it.
  const forbidsStale = mustNotBeStale || from === 's-maxage'
  const allowed = (origin: number | undefined, own: number | undefined) => {
    if (mustNotBeStale) return 0
    if (route.override && own !== undefined) return own
    return origin ?? (forbidsStale ? 0 : (own ?? 0))
  }
  return {
    lifetime,
    from,
    staleWhileRevalidate: allowed(said.staleWhileRevalidate, route.staleWhileRevalidate),
    staleIfError: allowed(said.staleIfError, route.staleIfError),
    forbidsStale,
    noCache: said.noCache,
  }
}

function lifetimeOf(
  head: Datable,
  route: RouteLife,
  fields: Fields,
  said: ResponseDirectives,
): [number, FreshnessLifetime['from']] {
  const mayBeRoutes = route.ttl !== undefined && HEURISTIC_STATUSES.has(head.status)
  // The route's lifetime starts at the arrival, because a cache near the origin may have used up a lifetime that starts at the Date.
  const routes = (): [number, 'route'] => [initialAge(head, fields) + route.ttl!, 'route']
  if (mayBeRoutes && route.override) return routes()
  if (said.sMaxage !== undefined) return [said.sMaxage, 's-maxage']
  if (said.maxAge !== undefined) return [said.maxAge, 'max-age']
  const expires = said.isTargeted ? null : fields.get('expires')
  if (expires !== null) return [untilExpires(expires, head, fields), 'expires']
  return mayBeRoutes ? routes() : heuristic(head, fields, said)
}

/** An invalid date counts as past (RFC 9111 §5.3). */
function untilExpires(expires: string, { responseTime }: Datable, fields: Fields): number {
  const at = parseHttpDate(expires, responseTime)
  return at === undefined ? 0 : Math.max(0, at - dateOf(fields, responseTime)) / 1000
}

/** A tenth of the time since Last-Modified, and at most a day (RFC 9111 §4.2.2). */
function heuristic(
  { status, responseTime }: Datable,
  fields: Fields,
  said: ResponseDirectives,
): [number, 'heuristic' | 'none'] {
  const lastModified = parseHttpDate(fields.get('last-modified') ?? '', responseTime)
  if (lastModified === undefined || !(HEURISTIC_STATUSES.has(status) || said.public)) return [0, 'none']
  const unchanged = Math.max(0, dateOf(fields, responseTime) - lastModified) / 1000
  return [Math.min(unchanged * HEURISTIC_FRACTION, MOST_HEURISTIC_S), 'heuristic']
}

/**
 * Epoch milliseconds until which a response can be used: fresh, stale as allowed, or validated by a 304.
 * No later than `responseTime` when it cannot be used at all.
 */
export function keepUntil(head: Datable, route: RouteLife): number {
  const fields = fieldsOf(head.headers)
  const life = freshnessOf(head, route, fields)
  const canBeValidated = fields.get('etag') !== null || fields.get('last-modified') !== null
  if (life.noCache && !canBeValidated) return head.responseTime
  const after = Math.max(life.staleWhileRevalidate, life.staleIfError, canBeValidated ? KEPT_FOR_VALIDATION_S : 0)
  const freshFor = Math.max(life.lifetime - initialAge(head, fields), canBeValidated ? 0 : -Infinity)
  return head.responseTime + Math.round((freshFor + after) * 1000)
}
