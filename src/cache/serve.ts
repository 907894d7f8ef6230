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

/** Compiles how a route's requests are served from the store, and what they leave there. */
export function compileServing(cache: RouteCache, next: Handler): Handler {
  return (x) => {
    const { method, headers } = x.request
    if (method !== 'GET' && method !== 'HEAD') return write(cache, x, next)
    // A WebSocket is no answer that could be kept.
    if (x.outgoing.headers['upgrade'] !== undefined) return next(x)
    x.outgoing.wantsRawResponse = true
    const key = keyOf(cache, x, headers)
    return key === undefined ? forward(cache, x, next, 'bypass') : read(cache, x, next, key)
  }
}

/**
 * Conditions that only the origin can judge are for it to judge (RFC 9110 §13.1.1, §13.1.4). Bytes that are no UTF-8 all look alike in a
 * key, and reach the origin as they are.
 */
function keyOf(cache: RouteCache, x: Exchange, headers: Headers): CacheKey | undefined {
  const isOrigins = headers.has('if-match') || headers.has('if-unmodified-since') || x.outgoing.hasOpaqueValues
  return isOrigins ? undefined : cache.keyOf(x)
}

async function read(cache: RouteCache, x: Exchange, next: Handler, key: CacheKey): Promise<Response> {
  const asked = requestDirectives(x.request.headers)
  const ready = cache.purges.ready(x)
  const place = await lookUp(cache.tiers, key, x, seenBy(x.outgoing.headers))
  // Before anything is fetched that could be stored: whoever has not heard of a purge would keep what it was meant for.
  if (ready !== undefined) await ready
  const usable = await assess(cache, place.found, x, asked)
  if (usable !== undefined && usable.verdict.use !== 'validate') {
    if (usable.verdict.use === 'serve-and-refresh') x.waitUntil(refresh(cache, x, next, key, place, usable.found.head))
    return respondFromStore(cache, x, usable)
  }
  if (asked.onlyIfCached) {
    if (usable !== undefined) dropBody(usable.found)
    return labelled(x, problem('not-stored'), { fwd: 'miss' })
  }
  const { method, headers } = x.request
  // There is nothing to take a part from, and a HEAD brings no body: the origin's answer is theirs alone.
  if (usable === undefined && (method === 'HEAD' || headers.has('range'))) return forward(cache, x, next, missOf(place))
  cache.counters.misses++
  const until = cache.now() + cache.waitMs
  return fetchAndServe(cache, x, next, asked, { key, place, usable, until, reads: 0 })
}

/** Passes a request on that neither gets anything from the store nor leaves anything there. */
async function forward(cache: RouteCache, x: Exchange, next: Handler, fwd: ForwardReason): Promise<Response> {
  if (fwd === 'bypass' || fwd === 'method') cache.counters.bypassed++
  else cache.counters.misses++
  const answer = await next(x)
  return labelled(x, answer, { fwd, fwdStatus: answer.status })
}

async function write(cache: RouteCache, x: Exchange, next: Handler): Promise<Response> {
  const answer = await forward(cache, x, next, 'method')
  invalidate(cache.purges, x, answer)
  return answer
}

/** What an unsafe method changes is not what is stored any more (RFC 9111 §4.4), whatever the query and whoever asked. */
export function invalidate(purges: Purges, x: Exchange, { status, headers }: Response): void {
  const urls = invalidatedUrls(x.request.method, status, siteOf(x) + x.path, headers)
  if (urls.length > 0) purges.invalidate([...new Set(urls.map(withoutQuery))], x)
}

function withoutQuery(url: string): string {
  const { protocol, host } = new URL(url)
  const path = rawPath(url)
  return `${protocol}//${host}${canonicalPath(path) ?? path}`
}
