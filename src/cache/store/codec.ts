import type { StoredHead, StoredResponse } from '../http/entry.ts'

/** Characters of a head's text, which are bytes: it travels as one header field through the Cache API. */
export const MAX_HEAD_BYTES = 16 * 1024

/** One line of printable ASCII; undefined when it is longer than 16 KiB. */
export function encodeHead(head: StoredHead): string | undefined {
  const text = JSON.stringify(head).replace(/[\u007f-\uffff]/g, escapeUnit)
  return text.length <= MAX_HEAD_BYTES ? text : undefined
}

const escapeUnit = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

/** Undefined for what is no head of this format, and for one that nobody needs any more at `now` (epoch milliseconds). */
export function decodeHead(text: string | null, now: number): StoredHead | undefined {
  const head = text === null ? undefined : parseJson(text)
  return isHead(head) && head.keepUntil > now ? head : undefined
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isHead(value: unknown): value is StoredHead {
  if (typeof value !== 'object' || value === null) return false
  const { v, status, headers, tags, url, requestTime, responseTime, keepUntil } = value as Partial<StoredHead>
  return (
    v === 1 &&
    [status, requestTime, responseTime, keepUntil].every(Number.isFinite) &&
    typeof url === 'string' &&
    Array.isArray(headers) &&
    Array.isArray(tags)
  )
}

/**
 * A whole answer as text, because Upstash's protocol is JSON: `head` (by `encodeHead`), the length of the body in bytes, the body in
 * Base64, a line each.
 */
export function encodeEntry(head: string, body: Uint8Array): string {
  return `${head}\n${body.byteLength}\n${Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('base64')}`
}

/** How long that text becomes at most. */
export const entryBytes = (head: string, body: Uint8Array): number =>
  head.length + MAX_LENGTH_LINE + 4 * Math.ceil(body.byteLength / 3)

const MAX_LENGTH_LINE = 18

/** A stored answer whose body is in memory. */
export interface StoredBytes extends StoredResponse {
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Undefined for what `encodeEntry` has not written, or not whole, and where `decodeHead` is. */
export function decodeEntry(text: string, now: number): StoredBytes | undefined {
  const [headLine = '', length, base64 = ''] = text.split('\n', 3)
  const head = decodeHead(headLine, now)
  if (head === undefined) return undefined
  // Buffer reads what it can of anything.
  const bytes = Buffer.from(base64, 'base64')
  return String(bytes.byteLength) === length ? { head, bytes, body: streamOf(bytes) } : undefined
}

/** Null for no bytes. */
const streamOf = (bytes: Uint8Array<ArrayBuffer>) => (bytes.byteLength === 0 ? null : new Response(bytes).body)
