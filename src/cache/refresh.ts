import { makeBackgroundExchange, type Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { problemCode } from '../core/problem.ts'
import { discardBody } from '../lib/body.ts'
import type { FetchEnd } from './collapse/collapse.ts'
import { fieldsOf, type StoredHead } from './http/entry.ts'
import type { CacheKey } from './key.ts'
import type { Lookup } from './lookup.ts'
import { fetchFromOrigin } from './origin-fetch.ts'
import type { RouteCache } from './route-cache.ts'
import { planKeeping, planStoring, uncoveredFields } from './storing.ts'

/** Refreshes in the background a response that was served stale (RFC 5861 §3); one request at a time per key does. Never rejects. */
export async function refresh(
  cache: RouteCache,
  of: Exchange,
  next: Handler,
  key: CacheKey,
  place: Lookup,
  stored: StoredHead,
): Promise<void> {
  const x = makeRefreshExchange(of, cache.now())
  const lead = await cache.collapse.lead(place.slot, x)
  if (lead === undefined) return
  await lead.finish(await fetchInBackground(cache, x, next, key, place, stored).catch(() => 'failed' as const))
}

async function fetchInBackground(
  cache: RouteCache,
  x: Exchange,
  next: Handler,
  key: CacheKey,
  place: Lookup,
  stored: StoredHead,
): Promise<FetchEnd> {
  const { tiers } = cache
  x.outgoing.method = 'GET'
  const normalized = cache.normalizeRequest(x, place.varies)
  // These fields would keep the response from being stored.
  const uncovered = uncoveredFields(normalized, fieldsOf(stored.headers))
  for (const name of uncovered) delete x.outgoing.headers[name]
  const unkeyed = normalized.unkeyed.filter((name) => !uncovered.includes(name))
  const fetched = await fetchFromOrigin(x, next, normalized, cache.now, stored)
  if (fetched.kind === 'confirmed') {
    const head = planKeeping(cache, x, fetched.head)
    const { head: read, body } = (await tiers.read(place.slot, x)) ?? {}
    if (read?.part === undefined && head !== undefined && body !== undefined)
      return tiers.keep(place.slot, { head, body }, x)
    body?.cancel().catch(() => {})
    await tiers.drop(place.slot, x)
    return 'uncacheable'
  }
  const { response } = fetched
  const plan = planStoring(cache, x, key, place, { ...normalized, unkeyed }, fetched)
  if ('head' in plan) return tiers.keep(plan.slot, { head: plan.head, body: response.body }, x)
  discardBody(response)
  // A problem of the gateway says nothing about the stored response.
  if (response.status >= 500 || problemCode(response) !== undefined) return 'failed'
  await tiers.drop(place.slot, x)
  return 'uncacheable'
}

/** Makes a background exchange with the request of `x`, without its conditions, range and cache directives. */
export function makeRefreshExchange(x: Exchange, now: number): Exchange {
  const { request, headers, outgoing } = x
  const target = { ...outgoing, headers: ownOf(outgoing.headers), body: null }
  return { ...makeBackgroundExchange(x, target, now), request: withoutOptions(request), headers: ownOf(headers) }
}

/** A copy of a request without the fields that concern only the response to its client. */
function withoutOptions(request: Request): Request {
  const headers = new Headers(request.headers)
  for (const name of request.headers.keys()) if (REQUEST_OPTIONS.test(name)) headers.delete(name)
  // The data centre of `cf` decides which coordinator object is called.
  return new Request(request.url, { headers, ...(request.cf && { cf: request.cf as RequestInitCfProperties }) })
}

const REQUEST_OPTIONS = /^(?:cache-control|pragma|range|if-.*)$/

function ownOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  const own = Object.create(null) as Record<string, string>
  for (const [name, value] of Object.entries(headers)) if (!REQUEST_OPTIONS.test(name)) own[name] = value
  return own
}
