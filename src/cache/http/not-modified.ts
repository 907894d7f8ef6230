import type { StoredHead } from './entry.ts'
import { fieldsOf, type Fields } from './fields.ts'
import { dateOf } from './freshness.ts'
import { parseHttpDate } from '../../lib/http-date.ts'
import { entityTagOf, sameEntityTag } from './validation.ts'

/**
 * Whether a GET or HEAD can be answered 304 because its client has what is stored (RFC 9111 §4.3.2, RFC 9110 §13.2.2). If-Match
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

/** Whether a list of entity tags has this one, or is `*`, which any stored answer satisfies. */
function names(list: string, tag: string | undefined): boolean {
  if (list.trim() === '*') return true
  if (tag === undefined) return false
  const tags = list.match(/(?:W\/)?"[\x21\x23-\x7e\x80-\uffff]*"/g) ?? []
  return tags.some((other) => sameEntityTag(other, tag, 'weak'))
}

/** Without a Last-Modified the time when the origin made the answer. */
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

/** The fields of a stored answer that its 304 repeats: what describes the content its client has already (RFC 9110 §15.4.5). */
export function notModifiedHeaders(headers: StoredHead['headers']): StoredHead['headers'] {
  const hasTag = headers.some(([name]) => name === 'etag')
  return headers.filter(([name]) => !OF_THE_CONTENT.has(name) && !(hasTag && name === 'last-modified'))
}
