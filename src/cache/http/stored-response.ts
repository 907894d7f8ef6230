import { parseHttpDate } from '../../lib/http-date.ts'
import { contentRange, rangeOf, sliceBody } from './byte-range.ts'
import { fieldsOf, type Fields, type StoredHead, type StoredResponse } from './entry.ts'
import { ageAt, dateOf } from './freshness.ts'
import { entityTagOf, sameEntityTag } from './validation.ts'

/** The form in which a stored response answers one request: whole, or as its conditions and range require. */
export type Shape = 'whole' | 'head' | 'not-modified' | 'range'

/** The parts of a request that decide the form of its response. */
export interface ConditionalRequest {
  readonly method: string
  readonly headers: Fields
}

/** The form of a stored response for a request (RFC 9110 §13.2.2). */
export function shapeOf({ method, headers }: ConditionalRequest, head: StoredHead): Shape {
  if (isNotModified(headers, head)) return 'not-modified'
  if (method === 'HEAD') return 'head'
  return headers.get('range') !== null && rangeOf(headers, head) !== undefined ? 'range' : 'whole'
}

/** The response to a request from a stored response, with its `Age`, and `label` as its `Cache-Status` where there is one. */
export function responseFrom(
  request: ConditionalRequest,
  head: StoredHead,
  shape: Shape,
  stored: Pick<StoredResponse, 'body' | 'bytes'>,
  now: number,
  label?: string,
): Response {
  const age = ageAt(head, now)
  const headers = shape === 'whole' ? wholeHeaders(head, age, label) : headersOf(head, shape, age, label)
  if (shape === 'not-modified') return asStored(null, 304, headers)
  if (shape === 'head') return asStored(null, head.status, headers)
  if (shape === 'whole') return asStored(stored.bytes?.byteLength ? stored.bytes : stored.body, head.status, headers)
  return partial(request, head, headers, stored.body)
}

function headersOf(head: StoredHead, shape: Shape, age: number, label: string | undefined): Headers {
  const pairs = shape === 'not-modified' ? notModifiedHeaders(head.headers) : head.headers
  // A list of pairs would cost five times as much.
  const headers = new Headers()
  for (const [name, value] of pairs) headers.append(name, value)
  headers.set('age', String(age))
  if (label !== undefined) headers.set('cache-status', label)
  return headers
}

interface MadeHeaders {
  readonly age: number
  readonly label: string | undefined
  readonly headers: Headers
}
const made = new WeakMap<StoredHead, MadeHeaders>()

/** The headers of whole responses are the same for a second: a stored response in memory makes them once. A Response copies them. */
function wholeHeaders(head: StoredHead, age: number, label: string | undefined): Headers {
  const last = made.get(head)
  if (last !== undefined && last.age === age && last.label === label) return last.headers
  const headers = headersOf(head, 'whole', age, label)
  made.set(head, { age, label, headers })
  return headers
}

/** A stored body is already encoded as its Content-Encoding states. */
const asStored = (
  body: ReadableStream<Uint8Array> | Uint8Array<ArrayBuffer> | null,
  status: number,
  headers: Headers,
) => new Response(body, { status, headers, encodeBody: 'manual' })

/** RFC 9110 §14.4 and §15.5.17. */
function partial(
  request: ConditionalRequest,
  head: StoredHead,
  headers: Headers,
  body: ReadableStream<Uint8Array> | null,
): Response {
  const range = rangeOf(request.headers, head)!
  headers.set('content-range', contentRange(range))
  if ('unsatisfiable' in range) {
    body?.cancel().catch(() => {})
    headers.delete('content-length')
    return asStored(null, 416, headers)
  }
  const { first, last } = range
  const offset = head.part?.first ?? 0
  const length = last - first + 1
  headers.set('content-length', String(length))
  // A stream made in JavaScript has no length, and the client would get chunks.
  const part = body && sliceBody(body, first - offset, last - offset).pipeThrough(new FixedLengthStream(length))
  return asStored(part, 206, headers)
}

/**
 * Whether the response to a GET or HEAD is 304, because the client has the stored response (RFC 9111 §4.3.2, RFC 9110 §13.2.2). If-Match
 * and If-Unmodified-Since are for the origin alone (RFC 9110 §13.1.1, §13.1.4).
 */
export function isNotModified(request: Fields, head: StoredHead): boolean {
  if (head.status !== 200) return false
  const fields = fieldsOf(head.headers)
  const tags = request.get('if-none-match')
  if (tags !== null) return names(tags, entityTagOf(fields))
  const since = request.get('if-modified-since')
  const time = since === null ? undefined : parseHttpDate(since, head.responseTime)
  return time !== undefined && modifiedAt(fields, head.responseTime) <= time
}

/** Whether a list of entity tags contains this one, or is `*`, which any stored response satisfies. */
function names(list: string, tag: string | undefined): boolean {
  if (list.trim() === '*') return true
  if (tag === undefined) return false
  const tags = list.match(/(?:W\/)?"[\x21\x23-\x7e\x80-\uffff]*"/g) ?? []
  return tags.some((other) => sameEntityTag(other, tag, 'weak'))
}

/** Without Last-Modified: the time at which the origin made the response. */
function modifiedAt(fields: Fields, responseTime: number): number {
  return parseHttpDate(fields.get('last-modified') ?? '', responseTime) ?? dateOf(fields, responseTime)
}

const OF_THE_CONTENT = new Set([
  'content-digest',
  'content-encoding',
  'content-language',
  'content-length',
  'content-range',
  'content-type',
  'repr-digest',
])

/** The fields of a stored response that its 304 repeats (RFC 9110 §15.4.5). */
export function notModifiedHeaders(headers: StoredHead['headers']): StoredHead['headers'] {
  const hasTag = headers.some(([name]) => name === 'etag')
  return headers.filter(([name]) => !OF_THE_CONTENT.has(name) && !(hasTag && name === 'last-modified'))
}
