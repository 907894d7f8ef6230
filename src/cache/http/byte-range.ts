import { parseHttpDate } from '../../lib/http-date.ts'
import { fieldsOf, type Fields, type StoredHead } from './entry.ts'
import { dateOf } from './freshness.ts'
import { entityTagOf, sameEntityTag } from './validation.ts'

/** The requested part of a stored response: the offsets of its first and last byte, and the length of the whole. */
export interface ByteRange {
  readonly first: number
  readonly last: number
  readonly length: number
}

/** A range that begins after the last byte: 416 (RFC 9110 §15.5.17). */
export interface UnsatisfiableRange {
  readonly unsatisfiable: true
  readonly length: number
}

/**
 * The one range of a stored 200 that a GET requests; undefined for the whole response: the request has no range, several, or one in another
 * syntax than that of RFC 9110 §14.1.2, its If-Range is false, or the length of the response is unknown. Other conditions come first.
 */
export function rangeOf(request: Fields, head: StoredHead): ByteRange | UnsatisfiableRange | undefined {
  const range = request.get('range')
  if (range === null || head.status !== 200) return undefined
  const fields = fieldsOf(head.headers)
  const length = lengthOf(fields)
  const requested = /^bytes=[\t ]*(\d*)-(\d*)$/i.exec(range.trim())
  if (length === undefined || requested === null || !ifRangeHolds(request.get('if-range'), fields, head))
    return undefined
  const [, from, to] = requested
  return from === '' ? suffix(to!, length) : between(from!, to!, length)
}

function between(from: string, to: string, length: number): ByteRange | UnsatisfiableRange | undefined {
  const first = Number(from)
  const last = to === '' ? Infinity : Number(to)
  if (last < first) return undefined
  return first < length ? { first, last: Math.min(last, length - 1), length } : { unsatisfiable: true, length }
}

function suffix(count: string, length: number): ByteRange | UnsatisfiableRange | undefined {
  if (count === '') return undefined
  if (Number(count) === 0 || length === 0) return { unsatisfiable: true, length }
  return { first: Math.max(0, length - Number(count)), last: length - 1, length }
}

function lengthOf(fields: Fields): number | undefined {
  const text = fields.get('content-length') ?? ''
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

/** Only an identical strong validator makes If-Range true (RFC 9110 §13.1.5): parts of two versions must never be combined. */
function ifRangeHolds(condition: string | null, fields: Fields, head: StoredHead): boolean {
  if (condition === null) return true
  const tag = entityTagOf(fields)
  if (condition.includes('"')) return tag !== undefined && sameEntityTag(condition.trim(), tag, 'strong')
  const lastModified = fields.get('last-modified')
  const modifiedAt = lastModified === condition.trim() ? parseHttpDate(lastModified, head.responseTime) : undefined
  // Within one second of its Date it may have changed again (RFC 9110 §8.8.2.2).
  return modifiedAt !== undefined && dateOf(fields, head.responseTime) - modifiedAt >= 1000
}

/** Content-Range of a 206, or of a 416 (RFC 9110 §14.4). */
export function contentRange(range: ByteRange | UnsatisfiableRange): string {
  return 'first' in range ? `bytes ${range.first}-${range.last}/${range.length}` : `bytes */${range.length}`
}

/** The bytes from `first` to `last`, both included; the rest is not read. A body that ends earlier breaks the part too. */
export function sliceBody(body: ReadableStream<Uint8Array>, first: number, last: number): ReadableStream<Uint8Array> {
  let at = 0
  const slice = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      const part = chunk.subarray(Math.max(first - at, 0), Math.max(last + 1 - at, 0))
      at += chunk.byteLength
      if (part.byteLength > 0) controller.enqueue(part)
      if (at > last) controller.terminate()
    },
    flush() {
      if (at <= last) throw new Error('the stored body is shorter than its Content-Length')
    },
  })
  return body.pipeThrough(slice)
}
