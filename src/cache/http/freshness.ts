import { parseHttpDate } from '../../lib/http-date.ts'
import { responseDirectives, type ResponseDirectives } from './directives.ts'
import { fieldsOf, type Fields, type StoredHead } from './entry.ts'

/** What a route says about the life of its answers, in seconds. */
export interface RouteLife {
  /** From when an answer came; for answers to which the origin gives no life of its own, and with `override` for all. */
  readonly ttl?: number | undefined
  readonly override: boolean
  /** Where the origin does not say; with `override` instead of what it says. */
  readonly staleWhileRevalidate?: number | undefined
  readonly staleIfError?: number | undefined
}

/** How long a stored answer lives, in seconds. */
export interface FreshnessLifetime {
  /** From when the origin made the answer (RFC 9111 §4.2.1): it is fresh while it is younger. */
  readonly lifetime: number
  readonly from: 's-maxage' | 'max-age' | 'expires' | 'route' | 'heuristic' | 'none'
  /** After its life: how long it may be used while it is fetched anew, and when that fails (RFC 5861). */
  readonly staleWhileRevalidate: number
  readonly staleIfError: number
  /** Whether nothing but the origin's word lets a cache use it stale, not even a client (RFC 9111 §4.2.4). */
  readonly forbidsStale: boolean
  /** Whether it must be validated although it is fresh. */
  readonly noCache: boolean
}

/** What of an answer tells its age and life. */
export type Datable = Pick<StoredHead, 'status' | 'headers' | 'requestTime' | 'responseTime'>

/**
 * Statuses that may be kept without a word of the origin (RFC 9110 §15.1). Left out although listed there: 206, which is never
 * stored, and 405, 414 and 501, which one odd request can provoke for everybody else.
 */
export const HEURISTIC_STATUSES: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 410])

const HEURISTIC_FRACTION = 0.1
const MOST_HEURISTIC_S = 86_400

/** How long an answer is kept after its life for the sake of its validator: a 304 then saves its body. */
const KEPT_FOR_VALIDATION_S = 3_600

/** The age of a stored answer in whole seconds, as `Age` tells it (RFC 9111 §4.2.3). */
export function ageAt(head: Datable, now: number): number {
  return Math.floor(exactAge(head, now, fieldsOf(head.headers)))
}

/** The age in seconds with their fraction. */
export function exactAge(head: Datable, now: number, fields: Fields): number {
  // A clock that steps back makes nothing younger than it came.
  return initialAge(head, fields) + Math.max(0, now - head.responseTime) / 1000
}

/** The age that an answer had when it came, in seconds: the larger of what its Date and its Age tell. */
function initialAge({ requestTime, responseTime }: Datable, fields: Fields): number {
  const date = dateOf(fields, responseTime)
  const apparentAge = Math.max(0, Math.floor(responseTime / 1000) - date / 1000)
  const delay = Math.max(0, responseTime - requestTime) / 1000
  return Math.max(apparentAge, ageField(fields) + delay)
}

/** Of several members the first counts; what is no number is no Age (RFC 9111 §5.1). */
function ageField(fields: Fields): number {
  const first = fields.get('age')?.split(',', 1)[0]?.trim() ?? ''
  return /^\d+$/.test(first) ? Math.min(Number(first), 2 ** 31) : 0
}

/** The origin's Date, else when the answer came (RFC 9110 §6.6.1). */
export function dateOf(fields: Fields, responseTime: number): number {
  const date = fields.get('date')
  return (date === null ? undefined : parseHttpDate(date, responseTime)) ?? responseTime
}

/** How long an answer lives by the origin's word, or by the route's where the origin is silent or overridden. */
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
  // The route's time starts when the answer came: a cache of the origin's must not have used it up.
  const routes = (): [number, 'route'] => [initialAge(head, fields) + route.ttl!, 'route']
  if (mayBeRoutes && route.override) return routes()
  if (said.sMaxage !== undefined) return [said.sMaxage, 's-maxage']
  if (said.maxAge !== undefined) return [said.maxAge, 'max-age']
  const expires = said.isTargeted ? null : fields.get('expires')
  if (expires !== null) return [untilExpires(expires, head, fields), 'expires']
  return mayBeRoutes ? routes() : heuristic(head, fields, said)
}

/** A date that cannot be read has passed (RFC 9111 §5.3). */
function untilExpires(expires: string, { responseTime }: Datable, fields: Fields): number {
  const at = parseHttpDate(expires, responseTime)
  return at === undefined ? 0 : Math.max(0, at - dateOf(fields, responseTime)) / 1000
}

/** A tenth of the time for which it had not changed, and at most a day (RFC 9111 §4.2.2). */
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
 * Epoch milliseconds until which an answer can be of use: fresh, stale as allowed, or with a validator to be confirmed by a 304.
 * No later than `responseTime` when it never is.
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
