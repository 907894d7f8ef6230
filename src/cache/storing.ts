import type { Exchange } from '../core/exchange.ts'
import { responseDirectives } from './http/directives.ts'
import { fieldsOf, selectingNames, selectionOf, type Fields, type StoredHead } from './http/entry.ts'
import { keepUntil } from './http/freshness.ts'
import { sharesAuthorized, storedHeaders, whyNotStored, type NotStored } from './http/storable.ts'
import type { CacheKey } from './key.ts'
import type { Lookup } from './lookup.ts'
import type { NormalizedRequest } from './normalize-request.ts'
import type { OriginResponse } from './partial.ts'
import type { RouteCache } from './route-cache.ts'
import { encodeHead } from './store/codec.ts'

/** The slot and the head of a response that is stored, or the reason why it is not. */
export type Plan =
  | { readonly slot: string; readonly head: StoredHead }
  | { readonly why: NotStored | 'unkeyed-header' | 'vary-changed' | 'opaque-header' | 'no-life' | 'too-large' }

/** Decides whether, where and with which head a response of the origin is stored. */
export function planStoring(
  cache: RouteCache,
  x: Exchange,
  key: CacheKey,
  place: Pick<Lookup, 'slot' | 'varies'>,
  normalized: NormalizedRequest,
  { response, requestTime, responseTime, part }: OriginResponse,
): Plan {
  const { status } = response
  const { seen, forwarded } = normalized
  const why = refusal(cache, x, response)
  if (why !== undefined) return { why }
  const names = selectingNames(response.headers)
  if (names === '*') return { why: 'vary' }
  // The response may depend on such a field, so it is for the sender of the field alone.
  if (uncoveredFields(normalized, response.headers).some((name) => !names.includes(name)))
    return { why: 'unkeyed-header' }
  if (forwarded.some((name) => !names.includes(name))) return { why: 'vary-changed' }
  const datable = {
    status,
    headers: lengthChecked(storedHeaders(response.headers, responseTime), response),
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
    selecting: selectionOf(names, seen),
    keepUntil: until,
    ...(part && { part }),
  }
  // Under the key itself, unless the response there is selected by the same fields and is another variant.
  const isVariant = names.join() === place.varies.join()
  const slot = isVariant ? place.slot : key.hash
  return cache.tiers.takes(slot, { head, body: response.body }) ? { slot, head } : { why: 'too-large' }
}

/**
 * The fields outside the key on which a response may depend. Authorization is none of them where the origin allows to share the response
 * all the same (RFC 9111 §3.5).
 */
export function uncoveredFields({ unkeyed }: NormalizedRequest, response: Fields): readonly string[] {
  if (!unkeyed.includes('authorization') || !sharesAuthorized(responseDirectives(response))) return unkeyed
  return unkeyed.filter((name) => name !== 'authorization')
}

/** Decides whether a stored response that a 304 has updated is still stored: the 304 may forbid it. */
export function planKeeping(cache: RouteCache, x: Exchange, updated: StoredHead): StoredHead | undefined {
  const response = { status: updated.status, headers: fieldsOf(updated.headers) }
  // The stored response is one to a GET, also when a HEAD confirmed it.
  if (refusal(cache, x, response, 'GET') !== undefined || !isText(updated.headers)) return undefined
  // With a changed Vary, the selecting fields of the stored response are not known.
  const names = (updated.selecting ?? []).map(([name]) => name)
  if (names.join() !== [selectingNames(response.headers)].flat().join()) return undefined
  const head = { ...updated, keepUntil: keepUntil(updated, cache.life) }
  return head.keepUntil > head.responseTime && encodeHead(head) !== undefined ? head : undefined
}

function refusal(
  { authenticated, identityInKey }: RouteCache,
  { request }: Exchange,
  response: Parameters<typeof whyNotStored>[1],
  method = request.method,
): NotStored | undefined {
  return whyNotStored({ method, headers: request.headers, authenticated, identityInKey }, response)
}

/** With a Transfer-Encoding, Content-Length is not the length (RFC 9112 §6.3). */
function lengthChecked(headers: StoredHead['headers'], { headers: received }: Response): StoredHead['headers'] {
  return received.has('transfer-encoding') ? headers.filter(([name]) => name !== 'content-length') : headers
}

/** Whether all values are UTF-8. The runtime decodes other bytes to U+FFFD, which would change the value. */
const isText = (headers: StoredHead['headers']): boolean => headers.every(([, value]) => !value.includes('\ufffd'))
