import { contentRange, rangeOf, sliceBody } from './byte-range.ts'
import type { StoredHead } from './entry.ts'
import { ageAt } from './freshness.ts'
import { isNotModified, notModifiedHeaders } from './not-modified.ts'

/** How a stored answer is put to one request: its own status, or what the request's conditions and range make of it. */
export type Shape = 'whole' | 'head' | 'not-modified' | 'range'

/** What of a stored answer a request gets (RFC 9110 §13.2.2). */
export function shapeOf(request: Request, head: StoredHead): Shape {
  if (isNotModified(request.headers, head)) return 'not-modified'
  if (request.method === 'HEAD') return 'head'
  return request.headers.has('range') && rangeOf(request.headers, head) !== undefined ? 'range' : 'whole'
}

/** The answer to a request from what is stored, with its `Age`. `body` is undefined where the shape needs none. */
export function answerFrom(
  request: Request,
  head: StoredHead,
  shape: Shape,
  body: ReadableStream<Uint8Array> | null,
  now: number,
): Response {
  const pairs = shape === 'not-modified' ? notModifiedHeaders(head.headers) : head.headers
  // Given as a list of pairs, they would cost five times as much.
  const headers = new Headers()
  for (const [name, value] of pairs) headers.append(name, value)
  headers.set('age', String(ageAt(head, now)))
  if (shape === 'not-modified') return asStored(null, 304, headers)
  if (shape === 'head') return asStored(null, head.status, headers)
  if (shape === 'whole') return asStored(body, head.status, headers)
  return partial(request, head, headers, body)
}

/** What is stored is encoded already as its fields say. */
const asStored = (body: ReadableStream<Uint8Array> | null, status: number, headers: Headers) =>
  new Response(body, { status, headers, encodeBody: 'manual' })

/** RFC 9110 §14.4 and §15.5.17. */
function partial(
  request: Request,
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
  const length = last - first + 1
  headers.set('content-length', String(length))
  // A stream made in JavaScript has no length, and the client would get chunks.
  const part = body && sliceBody(body, first, last).pipeThrough(new FixedLengthStream(length))
  return asStored(part, 206, headers)
}
