import { parseHttpDate } from '../../lib/http-date.ts'
import { isUnsafe } from '../../lib/http-method.ts'
import { fieldsOf, type Fields, type StoredHead } from './entry.ts'
import { storedHeaders } from './storable.ts'

/** One entity tag, and nothing else (RFC 9110 §8.8.3). */
const ENTITY_TAG = /^(?:W\/)?"[\x21\x23-\x7e\x80-\uffff]*"$/

/** The entity tag of a response; undefined when there is none, or an invalid one. */
export function entityTagOf(response: Fields): string | undefined {
  const tag = response.get('etag')?.trim()
  return tag !== undefined && ENTITY_TAG.test(tag) ? tag : undefined
}

/** Whether two entity tags match; by the strong comparison a weak one never does (RFC 9110 §8.8.3.2). */
export function sameEntityTag(a: string, b: string, comparison: 'weak' | 'strong'): boolean {
  return comparison === 'strong' ? a === b && !a.startsWith('W/') : opaque(a) === opaque(b)
}

const opaque = (tag: string) => (tag.startsWith('W/') ? tag.slice(2) : tag)

/** The conditional fields that validate a stored response (RFC 9111 §4.3.1); undefined when it has no validator. */
export function conditionsOf(head: StoredHead): Record<string, string> | undefined {
  const fields = fieldsOf(head.headers)
  const tag = entityTagOf(fields)
  const lastModified = fields.get('last-modified')
  const isDate = lastModified !== null && parseHttpDate(lastModified, head.responseTime) !== undefined
  if (tag === undefined && !isDate) return undefined
  return { ...(tag !== undefined && { 'if-none-match': tag }), ...(isDate && { 'if-modified-since': lastModified }) }
}

/**
 * A stored response with the fields of the 304 that validates it (RFC 9111 §4.3.4, §3.2); undefined when the 304 selects another
 * one. The request must have had only the conditions of `conditionsOf(head)`: a 304 without a validator refers to them. `keepUntil` and
 * `selecting` stay as before: the caller renews them, and checks again whether the response may be stored.
 */
export function freshen(
  head: StoredHead,
  response: Headers,
  requestTime: number,
  responseTime: number,
): StoredHead | undefined {
  return isAbout(fieldsOf(head.headers), response) ? update(head, response, requestTime, responseTime) : undefined
}

/**
 * A stored response with the fields of a 200 to HEAD that describes the same content (RFC 9111 §4.3.5); undefined when it describes
 * other content, so that the stored response is invalid. Any other status has no effect on it.
 */
export function freshenByHead(
  head: StoredHead,
  response: { readonly status: number; readonly headers: Headers },
  requestTime: number,
  responseTime: number,
): StoredHead | undefined {
  if (response.status !== 200) return head
  const stored = fieldsOf(head.headers)
  const isSame = ['etag', 'last-modified', 'content-length'].every((name) => {
    const value = response.headers.get(name)
    return value === null || value === stored.get(name)
  })
  return isSame ? update(head, response.headers, requestTime, responseTime) : undefined
}

/** The selection of RFC 9111 §4.3.4, for the only response that is stored under a key. */
function isAbout(stored: Fields, response: Fields): boolean {
  const tag = entityTagOf(response)
  if (tag !== undefined) {
    const own = entityTagOf(stored)
    return own !== undefined && sameEntityTag(own, tag, tag.startsWith('W/') ? 'weak' : 'strong')
  }
  const lastModified = response.get('last-modified')
  return lastModified === null || lastModified === stored.get('last-modified')
}

/** Fields that describe the stored bytes, which an update does not change (RFC 9111 §3.2). */
const OF_THE_BYTES = new Set(['content-encoding', 'content-length', 'content-range'])

function update(head: StoredHead, response: Headers, requestTime: number, responseTime: number): StoredHead {
  const added = storedHeaders(response, responseTime).filter(([name]) => !OF_THE_BYTES.has(name))
  // The Age belongs to the older response; the 304 has its own.
  const replaced = new Set(['age', ...added.map(([name]) => name)])
  const kept = head.headers.filter(([name]) => !replaced.has(name))
  const together = new Headers()
  for (const [name, value] of [...kept, ...added]) together.append(name, value)
  return { ...head, headers: storedHeaders(together, responseTime), requestTime, responseTime }
}

/**
 * The URLs whose stored responses a response to `method` at `url` invalidates (RFC 9111 §4.4): on success the target itself, and the URLs of
 * the same origin in Location and Content-Location; never those of another origin, whose cache any site could empty then.
 */
export function invalidatedUrls(method: string, status: number, url: string, response: Fields): readonly string[] {
  if (!isUnsafe(method) || status < 200 || status > 399) return []
  const target = new URL(url)
  const named = ['location', 'content-location'].flatMap((name) => {
    const reference = response.get(name)
    const other = reference === null ? null : URL.parse(reference, url)
    return other === null || other.origin !== target.origin ? [] : [withoutFragment(other)]
  })
  return [...new Set([withoutFragment(target), ...named])]
}

function withoutFragment(url: URL): string {
  url.hash = ''
  return url.href
}
