import type { Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { problem } from '../core/problem.ts'
import { canonicalPath, rawPath } from '../lib/canonical-path.ts'
import type { ForwardReason } from './http/cache-status.ts'
import { requestDirectives } from './http/directives.ts'
import { invalidatedUrls } from './http/validation.ts'
import { siteOf, type CacheKey } from './key.ts'
import { assess, dropBody, labelled, lookUp, missOf, respondFromStore } from './lookup.ts'
import { seenBy } from './normalize-request.ts'
import type { Purges } from './purge/purge-feed.ts'
import { refresh } from './refresh.ts'
import type { RouteCache } from './route-cache.ts'
import { fetchAndServe } from './serve-fetched.ts'

/** Compiles the handler of a cached route: it serves from the store, stores responses and invalidates by unsafe methods. */
export function compileServing(cache: RouteCache, next: Handler): Handler {
  return (x) => {
    const { method, headers } = x.request
    if (method !== 'GET' && method !== 'HEAD') return write(cache, x, next)
    // A WebSocket upgrade has no response that can be stored.
    if (x.outgoing.headers['upgrade'] !== undefined) return next(x)
    x.outgoing.wantsRawResponse = true
    const key = keyOf(cache, x, headers)
    return key === undefined ? forward(cache, x, next, 'bypass') : read(cache, x, next, key)
  }
}

/**
 * Undefined for a request that bypasses the cache. Only the origin can evaluate If-Match and If-Unmodified-Since (RFC 9110 §13.1.1,
 * §13.1.4). Header bytes that are no UTF-8 are equal in a key, but differ for the origin.
 */
function keyOf(cache: RouteCache, x: Exchange, headers: Headers): CacheKey | undefined {
  const isBypass = headers.has('if-match') || headers.has('if-unmodified-since') || x.outgoing.hasOpaqueValues
  return isBypass ? undefined : cache.keyOf(x)
}

async function read(cache: RouteCache, x: Exchange, next: Handler, key: CacheKey): Promise<Response> {
  const directives = requestDirectives(x.request.headers)
  const ready = cache.purges.ready(x)
  const place = await lookUp(cache.tiers, key, x, seenBy(x.outgoing.headers))
  // Purges are loaded before a fetch: a response must not be stored whose purge this isolate has not received.
  if (ready !== undefined) await ready
  const usable = await assess(cache, place.found, x, directives)
  if (usable !== undefined && usable.verdict.use !== 'validate') {
    if (usable.verdict.use === 'serve-and-refresh') x.waitUntil(refresh(cache, x, next, key, place, usable.found.head))
    return respondFromStore(cache, x, usable)
  }
  if (directives.onlyIfCached) {
    if (usable !== undefined) dropBody(usable.found)
    return labelled(x, problem('not-stored'), { fwd: 'miss' })
  }
  const { method, headers } = x.request
  // A range response and a response to HEAD cannot be stored, so the request is forwarded as it is.
  if (usable === undefined && (method === 'HEAD' || headers.has('range'))) return forward(cache, x, next, missOf(place))
  cache.counters.misses++
  const until = cache.now() + cache.waitMs
  return fetchAndServe(cache, x, next, directives, { key, place, usable, until, reads: 0 })
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
