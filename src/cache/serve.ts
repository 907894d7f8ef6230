import type { Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { problem } from '../core/problem.ts'
import { canonicalPath, rawPath } from '../lib/canonical-path.ts'
import { sliceBody } from './http/byte-range.ts'
import type { ForwardReason } from './http/cache-status.ts'
import { requestDirectives } from './http/directives.ts'
import { fieldsOfRecord } from './http/entry.ts'
import { invalidatedUrls } from './http/validation.ts'
import { siteOf, type CacheKey } from './key.ts'
import { assess, dropBody, labelled, lookUp, missOf, respondFromStore, type Lookup, type Usable } from './lookup.ts'
import { seenBy } from './normalize-request.ts'
import { fetchFromOrigin } from './origin-fetch.ts'
import { coversRange, extendPart, isPlainRange, partOf, type OriginResponse } from './partial.ts'
import type { Purges } from './purge/purge-feed.ts'
import { refresh } from './refresh.ts'
import type { RouteCache } from './route-cache.ts'
import { fetchAndServe } from './serve-fetched.ts'
import type { FoundResponse } from './store/tiers.ts'
import { planStoring } from './storing.ts'

/** Compiles the handler of a cached route: it serves from the store, stores responses and invalidates by unsafe methods. */
export function compileServing(cache: RouteCache, next: Handler): Handler {
  return (x) => {
    const { method } = x.outgoing
    if (method !== 'GET' && method !== 'HEAD') return write(cache, x, next)
    // A WebSocket upgrade has no response that can be stored.
    if (x.outgoing.headers['upgrade'] !== undefined) return next(x)
    x.outgoing.wantsRawResponse = true
    const key = keyOf(cache, x)
    return key === undefined ? forward(cache, x, next, 'bypass') : read(cache, x, next, key)
  }
}

/**
 * Undefined for a request that bypasses the cache. Only the origin can evaluate If-Match and If-Unmodified-Since (RFC 9110 §13.1.1,
 * §13.1.4). Header bytes that are no UTF-8 are equal in a key, but differ for the origin.
 */
function keyOf(cache: RouteCache, x: Exchange): CacheKey | undefined {
  const { 'if-match': match, 'if-unmodified-since': unmodified } = x.headers
  const isBypass = match !== undefined || unmodified !== undefined || x.outgoing.hasOpaqueValues
  return isBypass ? undefined : cache.keyOf(x)
}

async function read(cache: RouteCache, x: Exchange, next: Handler, key: CacheKey): Promise<Response> {
  const directives = requestDirectives(fieldsOfRecord(x.headers))
  const ready = cache.purges.ready(x)
  const place = await lookUp(cache.tiers, key, x, seenBy(x.outgoing.headers))
  // Purges are loaded before a fetch: a response must not be stored whose purge this isolate has not received.
  if (ready !== undefined) await ready
  const found = await assess(cache, place.found, x, directives)
  const part = found?.found.head.part === undefined ? undefined : freshPart(x, found)
  if (part !== undefined && coversRange(x.request.headers, part.found.head)) return respondFromStore(cache, x, part)
  const usable = found?.found.head.part === undefined ? found : undefined
  if (usable !== undefined && usable.verdict.use !== 'validate') {
    if (usable.verdict.use === 'serve-and-refresh') x.waitUntil(refresh(cache, x, next, key, place, usable.found.head))
    return respondFromStore(cache, x, usable)
  }
  if (directives.onlyIfCached) {
    if (found !== undefined) dropBody(found.found)
    return labelled(x, problem('not-stored'), { fwd: 'miss' })
  }
  const { method, headers } = x.request
  if (usable === undefined && headers.has('range') && method === 'GET' && isPlainRange(headers))
    return fetchRange(cache, x, next, { key, place, part: part?.found })
  // A response to HEAD cannot be stored, nor one to a range with conditions, so the request is forwarded as it is.
  if (usable === undefined && (method === 'HEAD' || headers.has('range'))) {
    if (part !== undefined) dropBody(part.found)
    return forward(cache, x, next, missOf(place))
  }
  cache.counters.misses++
  const until = cache.now() + cache.waitMs
  return fetchAndServe(cache, x, next, directives, { key, place, usable, part: part?.found, until, reads: 0 })
}

/** A stored part that may be used as it is; others are fetched anew. */
function freshPart({ request }: Exchange, part: Usable): Usable | undefined {
  if (part.verdict.use === 'serve' && request.method === 'GET') return part
  dropBody(part.found)
  return undefined
}

interface RangeFetch {
  readonly key: CacheKey
  readonly place: Lookup
  /** A stored part that is fresh and does not hold the range. */
  readonly part: FoundResponse | undefined
}

/** Fetches one range that is not stored, and stores it, with the stored part that it extends (RFC 9111 §3.3, §3.4). */
async function fetchRange(
  cache: RouteCache,
  x: Exchange,
  next: Handler,
  { key, place, part }: RangeFetch,
): Promise<Response> {
  cache.counters.misses++
  const fwd = part === undefined ? missOf(place) : 'partial'
  const normalized = cache.normalizeRequest(x, place.varies)
  x.outgoing.headers['range'] = x.request.headers.get('range')!
  const got = await fetchFromOrigin(x, next, normalized, cache.now)
  // Without conditions none is confirmed.
  const { response } = got as OriginResponse
  const { status } = response
  const fetched = partOf(got as OriginResponse)
  const plan = fetched && planStoring(cache, x, key, place, normalized, fetched)
  if (plan === undefined || 'why' in plan) {
    if (part !== undefined) dropBody(part)
    return labelled(x, response, { fwd, fwdStatus: status, stored: false, detail: plan?.why })
  }
  cache.counters.stored++
  const { head, join } = extendPart(plan.head, part)
  const label = { fwd, fwdStatus: status, stored: true }
  const { body } = fetched!.response
  if (join === undefined) {
    const filling = cache.tiers.write(plan.slot, { head, body }, x)
    return labelled(x, new Response(filling.body, response), label)
  }
  const [own, others] = body!.tee()
  cache.tiers.keep(plan.slot, { head, body: join(others) }, x)
  const { first, last } = fetched!.part!
  const length = last - first + 1
  // A branch of `tee` that the runtime pipes itself waits for the other branch for ever: it is read in JavaScript.
  const sent = sliceBody(own, 0, length - 1).pipeThrough(new FixedLengthStream(length))
  return labelled(x, new Response(sent, response), label)
}

/** Forwards a request that is neither served from the store nor stored. */
async function forward(cache: RouteCache, x: Exchange, next: Handler, fwd: ForwardReason): Promise<Response> {
  if (fwd === 'bypass' || fwd === 'method') cache.counters.bypassed++
  else cache.counters.misses++
  const response = await next(x)
  return labelled(x, response, { fwd, fwdStatus: response.status })
}

async function write(cache: RouteCache, x: Exchange, next: Handler): Promise<Response> {
  const response = await forward(cache, x, next, 'method')
  invalidate(cache.purges, x, response)
  return response
}

/** Invalidates the stored responses of the URLs that an unsafe method may have changed (RFC 9111 §4.4), for all queries and callers. */
export function invalidate(purges: Purges, x: Exchange, { status, headers }: Response): void {
  const urls = invalidatedUrls(x.request.method, status, siteOf(x) + x.path, headers)
  if (urls.length > 0) purges.invalidate([...new Set(urls.map(withoutQuery))], x)
}

function withoutQuery(url: string): string {
  const { protocol, host } = new URL(url)
  const path = rawPath(url)
  return `${protocol}//${host}${canonicalPath(path) ?? path}`
}
