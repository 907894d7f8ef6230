import type { StoredHead, StoredResponse } from '../http/entry.ts'

/** The longest encoded head, in characters, which are bytes: it is one header field in the Cache API. */
const MAX_HEAD_BYTES = 16 * 1024

/** One line of printable ASCII; undefined when it is longer than 16 KiB. */
export function encodeHead(head: StoredHead): string | undefined {
  const text = JSON.stringify(head).replace(/[\u007f-\uffff]/g, escapeUnit)
  return text.length <= MAX_HEAD_BYTES ? text : undefined
}

const escapeUnit = (unit: string) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`

/** Undefined for a text of another format, and for a head whose `keepUntil` is past at `now` (epoch milliseconds). */
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
 * A whole stored response as text, because Upstash's protocol is JSON: `head` (by `encodeHead`), the length of the body in bytes, the body in
 * Base64, a line each.
 */
export function encodeEntry(head: string, body: Uint8Array): string {
  return `${head}\n${body.byteLength}\n${Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('base64')}`
}

/** The greatest length of that text. */
export const entryBytes = (head: string, body: Uint8Array): number =>
  head.length + MAX_LENGTH_LINE + 4 * Math.ceil(body.byteLength / 3)

const MAX_LENGTH_LINE = 18

/** A stored response whose body is in memory. */
export interface StoredBytes extends StoredResponse {
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** Undefined for a text that is not a whole result of `encodeEntry`, and where `decodeHead` gives undefined. */
export function decodeEntry(text: string, now: number): StoredBytes | undefined {
  const [headLine = '', length, base64 = ''] = text.split('\n', 3)
  const head = decodeHead(headLine, now)
  if (head === undefined) return undefined
  // Buffer decodes a valid beginning of any text.
  const bytes = Buffer.from(base64, 'base64')
  return String(bytes.byteLength) === length ? { head, bytes, body: streamOf(bytes) } : undefined
}

/** Null for no bytes. */
const streamOf = (bytes: Uint8Array<ArrayBuffer>) => (bytes.byteLength === 0 ? null : new Response(bytes).body)
