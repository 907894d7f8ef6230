import type { Exchange } from '../core/exchange.ts'
import { fieldsOf, selectionOf, varyNames, type StoredHead } from './http/entry.ts'
import { keepUntil } from './http/freshness.ts'
import { storedHeaders, whyNotStored, type NotStored } from './http/storable.ts'
import type { CacheKey } from './key.ts'
import type { Lookup } from './lookup.ts'
import type { NormalizedRequest } from './normalize-request.ts'
import type { OriginResponse } from './origin-fetch.ts'
import type { RouteCache } from './route-cache.ts'
import { encodeHead } from './store/codec.ts'
/** Where an answer is put and what is written down of it, or why it is not stored. */
export type Plan =
  | { readonly slot: string; readonly head: StoredHead }
  | { readonly why: NotStored | 'unkeyed-header' | 'vary-changed' | 'opaque-header' | 'no-life' | 'too-large' }

/** Decides about an answer of the origin's. */
export function planStoring(
  cache: RouteCache,
  x: Exchange,
  key: CacheKey,
  place: Pick<Lookup, 'slot' | 'varies'>,
  { seen, unkeyed, told }: NormalizedRequest,
  { response: answer, requestTime, responseTime }: OriginResponse,
): Plan {
  const { status } = answer
  const why = refusal(cache, x, answer)
  if (why !== undefined) return { why }
  const names = varyNames(answer.headers)
  if (names === '*') return { why: 'vary' }
  // Whoever sends such a field may have shaped what comes back: it is his alone.
  if (unkeyed.some((name) => !names.includes(name))) return { why: 'unkeyed-header' }
  if (told.some((name) => !names.includes(name))) return { why: 'vary-changed' }
  const datable = {
    status,
    headers: lengthChecked(storedHeaders(answer.headers, responseTime), answer),
    requestTime,
    responseTime,
  }
  if (!isText(datable.headers)) return { why: 'opaque-header' }
  const until = keepUntil(datable, cache.life)
  if (until <= responseTime) return { why: 'no-life' }
  const head: StoredHead = {
    v: 1,
    ...datable,
    url: key.url,
    tags: cache.tagsOf(x),
    ...(names.length > 0 && { selecting: selectionOf(names, seen) }),
    keepUntil: until,
  }
  // Under the key itself, unless the answer there is told apart from this one by the same fields.
  const beside = names.length > 0 && names.join() === place.varies.join()
  const slot = beside ? place.slot : key.hash
  return cache.tiers.takes(slot, { head, body: answer.body }) ? { slot, head } : { why: 'too-large' }
}

/** Decides about a stored answer that a 304 has updated: it can have forbidden to keep it. */
export function planKeeping(cache: RouteCache, x: Exchange, updated: StoredHead): StoredHead | undefined {
  const answer = { status: updated.status, headers: fieldsOf(updated.headers) }
  // What is stored answers a GET, whatever has confirmed it.
  if (refusal(cache, x, answer, 'GET') !== undefined || !isText(updated.headers)) return undefined
  // By another Vary than it was selected by, nobody knows whose it is.
  const names = (updated.selecting ?? []).map(([name]) => name)
  if (names.join() !== [varyNames(answer.headers)].flat().join()) return undefined
  const head = { ...updated, keepUntil: keepUntil(updated, cache.life) }
  return head.keepUntil > head.responseTime && encodeHead(head) !== undefined ? head : undefined
}

function refusal(
  { authenticated, identityInKey }: RouteCache,
  { request }: Exchange,
  answer: Parameters<typeof whyNotStored>[1],
  method = request.method,
): NotStored | undefined {
  return whyNotStored({ method, headers: request.headers, authenticated, identityInKey }, answer)
}

/** With a Transfer-Encoding, Content-Length is not the length (RFC 9112 §6.3). */
function lengthChecked(headers: StoredHead['headers'], { headers: received }: Response): StoredHead['headers'] {
  return received.has('transfer-encoding') ? headers.filter(([name]) => name !== 'content-length') : headers
}

/** Whether no value holds bytes that are no UTF-8: the runtime reads U+FFFD in their place, which is not what the origin said. */
const isText = (headers: StoredHead['headers']): boolean => headers.every(([, value]) => !value.includes('\ufffd'))
