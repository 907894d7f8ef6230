import { requestDirectives, responseDirectives, type ResponseDirectives } from './directives.ts'
import { parseNames, varyNames, type Fields, type StoredHead } from './entry.ts'
import { HEURISTIC_STATUSES } from './freshness.ts'
/** The reason why a response is not stored: the rule that forbids it, or the part that it lacks. */
export type NotStored =
  | 'method'
  | 'request-no-store'
  | 'status'
  | 'no-store'
  | 'private'
  | 'set-cookie'
  | 'vary'
  | 'authorization'
  | 'endless'
  | 'no-life'

/** The parts of a request that decide whether its response may be stored. */
export interface StoringRequest {
  readonly method: string
  readonly headers: Fields
  /** Whether the caller is authenticated, by any provider. */
  readonly authenticated: boolean
  /** Whether the caller is part of the key, so that no other caller gets the response. */
  readonly identityInKey: boolean
}

/**
 * Statuses that depend on fields outside of every key, Range and preconditions, and 304, which is not a complete response. A 206 that can be
 * combined with others is judged as the 200 of which it is a part (RFC 9111 §3.3).
 */
const NEVER_STORED = new Set([206, 304, 412, 416])

/** The other final statuses of RFC 9110 §15. None has further requirements on a cache, which `must-understand` (§5.2.2.3) is about. */
const ALSO_UNDERSTOOD = new Set([
  201, 202, 205, 302, 303, 307, 400, 401, 402, 403, 405, 406, 407, 408, 409, 411, 413, 414, 415, 417, 421, 422, 426,
  500, 501, 502, 503, 504, 505,
])

/** The rule that forbids to store a response in a shared cache (RFC 9111 §3); undefined: it may be stored. */
export function whyNotStored(
  request: StoringRequest,
  answer: { readonly status: number; readonly headers: Fields },
): NotStored | undefined {
  const { status, headers } = answer
  if (request.method !== 'GET') return 'method'
  if (requestDirectives(request.headers).noStore) return 'request-no-store'
  if (status < 200 || status > 599 || NEVER_STORED.has(status)) return 'status'
  const said = responseDirectives(headers)
  const isUnderstood = HEURISTIC_STATUSES.has(status) || ALSO_UNDERSTOOD.has(status)
  if (said.mustUnderstand && !isUnderstood) return 'status'
  if (said.noStore && !said.mustUnderstand) return 'no-store'
  if (said.private) return 'private'
  if (headers.get('set-cookie') !== null) return 'set-cookie'
  if (isEndless(headers)) return 'endless'
  if (varyNames(headers) === '*') return 'vary'
  if (!request.identityInKey) {
    if (request.authenticated && !isShared(said)) return 'authorization'
    if (request.headers.get('authorization') !== null && !sharesAuthorized(said)) return 'authorization'
  }
  const hasExpires = !said.isTargeted && headers.get('expires') !== null
  const hasLife = said.public || said.sMaxage !== undefined || said.maxAge !== undefined || hasExpires
  return hasLife || HEURISTIC_STATUSES.has(status) ? undefined : 'no-life'
}

const isShared = (said: ResponseDirectives) => said.public || said.hasSoundSMaxage

/** Whether the origin allows to share a response to a request with Authorization (RFC 9111 §3.5). */
export const sharesAuthorized = (said: ResponseDirectives): boolean => isShared(said) || said.mustRevalidate

/** Media types of events and records that an origin sends while they happen. */
const ENDLESS =
  /^(?:text\/event-stream|multipart\/x-mixed-replace|application\/(?:(?:x-)?ndjson|(?:x-)?jsonl(?:ines)?|(?:[\w.-]+\+)?json-seq|stream\+json|grpc(?:-web(?:-text)?)?(?:\+[\w.-]+)?))[\t ]*(?:;|$)/i

/**
 * Whether a body may never end: an endless media type, or a response for which the origin forbids buffering (nginx's `X-Accel-Buffering:
 * no`), without a Content-Length. Such a response is not stored, and no request waits for it.
 */
function isEndless(headers: Fields): boolean {
  const hasLength = headers.get('content-length') !== null && headers.get('transfer-encoding') === null
  if (hasLength) return false
  const mayNotBuffer = headers.get('x-accel-buffering')?.trim().toLowerCase() === 'no'
  return mayNotBuffer || ENDLESS.test(headers.get('content-type')?.trim() ?? '')
}

/** Fields of one connection (RFC 9111 §3.1, RFC 9110 §7.6.1), and Set-Cookie, which is meant for one client. */
const UNSTORED = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

/** Fields that determine how long and for whom a response may be used: no list of names removes them. */
const RELIED_ON = new Set(['age', 'cache-control', 'cdn-cache-control', 'date', 'expires', 'vary'])

/**
 * The fields of a response that may be stored: without those of its connection (RFC 9111 §3.1) and those that the origin excludes
 * by name (§5.2.2.4, §5.2.2.7), with a Date of `responseTime` if it has none (RFC 9110 §6.6.1).
 */
export function storedHeaders(headers: Headers, responseTime: number): StoredHead['headers'] {
  const left = new Set([
    ...(parseNames(headers.get('connection') ?? '') ?? []),
    ...responseDirectives(headers).unsharedFields,
  ])
  const stored = [...headers].filter(([name]) => RELIED_ON.has(name) || !(UNSTORED.has(name) || left.has(name)))
  if (!stored.some(([name]) => name === 'date')) stored.push(['date', new Date(responseTime).toUTCString()])
  return stored
}
