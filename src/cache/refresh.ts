import { makeBackgroundExchange, type Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { problemCode } from '../core/problem.ts'
import { discardBody } from '../lib/body.ts'
import type { FetchEnd } from './collapse/collapse.ts'
import type { StoredHead } from './http/entry.ts'
import type { CacheKey } from './key.ts'
import type { Lookup } from './lookup.ts'
import { fetchFromOrigin } from './origin-fetch.ts'
import type { RouteCache } from './route-cache.ts'
import { planKeeping, planStoring } from './storing.ts'

/** Fetches anew, behind a client's back, what it has been given stale (RFC 5861 §3); one request at a time does. Never rejects. */
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
  await lead.finish(await fetchBehind(cache, x, next, key, place, stored).catch(() => 'failed' as const))
}

async function fetchBehind(
  cache: RouteCache,
  x: Exchange,
  next: Handler,
  key: CacheKey,
  place: Lookup,
  stored: StoredHead,
): Promise<FetchEnd> {
  const { tiers } = cache
  x.outgoing.method = 'GET'
  const narrowed = cache.narrow(x, place.varies)
  // Nobody waits for what these might change.
  for (const name of narrowed.unkeyed) delete x.outgoing.headers[name]
  const asked = await fetchFromOrigin(x, next, narrowed, cache.now, stored)
  if (asked.kind === 'confirmed') {
    const head = planKeeping(cache, x, asked.head)
    const body = (await tiers.read(place.slot, x))?.body
    if (head !== undefined && body !== undefined) return tiers.keep(place.slot, { head, body }, x)
    body?.cancel().catch(() => {})
    await tiers.drop(place.slot, x)
    return 'uncacheable'
  }
  const { response: answer } = asked
  const plan = planStoring(cache, x, key, place, { ...narrowed, unkeyed: [] }, asked)
  if ('head' in plan) return tiers.keep(plan.slot, { head: plan.head, body: answer.body }, x)
  discardBody(answer)
  // The gateway's own word says nothing about what is stored.
  if (answer.status >= 500 || problemCode(answer) !== undefined) return 'failed'
  await tiers.drop(place.slot, x)
  return 'uncacheable'
}

/** An exchange that asks what `x` asks, for nobody. */
export function makeRefreshExchange(x: Exchange, now: number): Exchange {
  const { request, headers, outgoing } = x
  const asked = { ...outgoing, headers: ownOf(outgoing.headers), body: null }
  return { ...makeBackgroundExchange(x, asked, now), request: plain(request), headers: ownOf(headers) }
}

/** What the client wants of its own answer says nothing about the one that is kept. */
function plain(request: Request): Request {
  const headers = new Headers(request.headers)
  for (const name of request.headers.keys()) if (WISH.test(name)) headers.delete(name)
  // Where it came in decides who is asked whether somebody is fetching it already.
  return new Request(request.url, { headers, ...(request.cf && { cf: request.cf as RequestInitCfProperties }) })
}

const WISH = /^(?:cache-control|pragma|range|if-.*)$/

function ownOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  const own = Object.create(null) as Record<string, string>
  for (const [name, value] of Object.entries(headers)) if (!WISH.test(name)) own[name] = value
  return own
}
