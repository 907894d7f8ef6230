import type { Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { problem, problemCode } from '../core/problem.ts'
import { discardBody } from '../lib/body.ts'
import type { FetchEnd } from './collapse/collapse.ts'
import type { ForwardReason } from './http/cache-status.ts'
import type { RequestDirectives } from './http/directives.ts'
import { fieldsOf, type StoredHead } from './http/entry.ts'
import { responseFrom, shapeOf } from './http/stored-response.ts'
import { freshenByHead } from './http/validation.ts'
import type { CacheKey } from './key.ts'
import {
  assess,
  dropBody,
  labelled,
  lookUp,
  missOf,
  receivedRequest,
  respondFromStore,
  type Lookup,
  type Usable,
} from './lookup.ts'
import type { NormalizedRequest } from './normalize-request.ts'
import { fetchFromOrigin } from './origin-fetch.ts'
import type { OriginResponse } from './partial.ts'
import type { RouteCache } from './route-cache.ts'
import type { FoundResponse } from './store/tiers.ts'
import { planKeeping, planStoring, uncoveredFields } from './storing.ts'

/** A request that fetches from the origin. */
interface OriginFetchState {
  readonly cache: RouteCache
  readonly x: Exchange
  readonly key: CacheKey
  readonly place: Lookup
  readonly normalized: NormalizedRequest
  /** The stored response, which must be validated before it is used. */
  readonly usable: Usable | undefined
  readonly fwd: ForwardReason
  readonly finish: (ending: FetchEnd) => void
}

/** How often a request that was sent to read a stored response, and found it to be of no use, waits for others again. */
const MAX_READS = 2

/** How a request came to fetch. */
interface FetchState {
  readonly key: CacheKey
  readonly place: Lookup
  /** The stored response, which must be validated before it is used. */
  readonly usable: Usable | undefined
  /** A stored part that is fresh, which the response to a request for the whole completes. */
  readonly part: FoundResponse | undefined
  /** Until when the request may wait for others, epoch milliseconds. */
  readonly until: number
  /** How often it has read a stored response in vain. */
  readonly reads: number
}

/** Fetches from the origin, or waits for another request that fetches the same response. */
export async function fetchAndServe(
  cache: RouteCache,
  x: Exchange,
  next: Handler,
  directives: RequestDirectives,
  state: FetchState,
): Promise<Response> {
  const { key, place, usable, part, reads } = state
  const received = { ...x.outgoing.headers }
  const normalized = cache.normalizeRequest(x, place.varies)
  const fwd = reasonOf(state)
  const isCollapsed = reads < MAX_READS && isShared(cache, x, normalized, usable, directives)
  const turn = isCollapsed ? await cache.collapse.join(place.slot, x, state.until - cache.now(), reads > 0) : undefined
  if (turn?.role === 'read') {
    const again = await readAgain(cache, x, directives, normalized, state)
    const { usable: shared } = again
    if (shared !== undefined && shared.verdict.use !== 'validate') {
      cache.counters.collapsed++
      return respondFromStore(cache, x, shared, { fwd, collapsed: true, ttl: shared.verdict.ttl })
    }
    // Purged, expired, or another variant: the requests that found this out can still wait for one of them.
    Object.assign(x.outgoing.headers, received)
    return fetchAndServe(cache, x, next, directives, again)
  }
  const finish = (end: FetchEnd) => {
    if (turn?.role === 'lead') x.waitUntil(turn.finish(end))
  }
  try {
    const fetch: OriginFetchState = { cache, x, key, place, normalized, usable, fwd, finish }
    const got = await fetchFromOrigin(x, next, normalized, cache.now, usable?.found.head, part)
    return got.kind === 'confirmed' ? serveConfirmed(fetch, usable!, got.head) : serveResponse(fetch, got)
  } catch (error) {
    finish('failed')
    throw error
  }
}

const reasonOf = ({ place, usable, part }: FetchState): ForwardReason =>
  part === undefined ? (usable?.verdict.fwd ?? missOf(place)) : 'partial'

/** The state of a request after another one has stored a response; a stored part is none. */
async function readAgain(
  cache: RouteCache,
  x: Exchange,
  directives: RequestDirectives,
  { seen }: NormalizedRequest,
  state: FetchState,
): Promise<FetchState> {
  for (const unused of [state.usable?.found, state.part]) if (unused !== undefined) dropBody(unused)
  const place = await lookUp(cache.tiers, state.key, x, seen)
  const assessed = await assess(cache, place.found, x, directives)
  const isPart = assessed?.found.head.part !== undefined
  if (isPart) dropBody(assessed.found)
  return { ...state, place, usable: isPart ? undefined : assessed, part: undefined, reads: state.reads + 1 }
}

/** Whether other requests may get the same response: then one request fetches for all. */
function isShared(
  { collapses }: RouteCache,
  { request }: Exchange,
  { unkeyed }: NormalizedRequest,
  usable: Usable | undefined,
  { noStore }: RequestDirectives,
): boolean {
  if (!collapses || noStore || unkeyed.length > 0 || request.method !== 'GET') return false
  if (usable === undefined) return true
  // A response that is never fresh, or must be validated for each request, is of no use to others.
  const { ttl, age } = usable.verdict
  return ttl < 0 && ttl + age >= 0
}

/** The origin has responded 304: the stored response is fresh again. */
function serveConfirmed(fetch: OriginFetchState, { found }: Usable, updated: StoredHead): Response {
  const { cache, x, key, place, normalized, fwd, finish } = fetch
  cache.counters.confirmed++
  const { tiers } = cache
  // A field outside the key may have influenced the 304: then it is for its sender alone.
  const isClientSpecific = uncoveredFields(normalized, fieldsOf(updated.headers)).length > 0
  const kept = isClientSpecific ? undefined : planKeeping(cache, x, updated)
  const head = kept ?? updated
  const request = receivedRequest(x)
  const shape = shapeOf(request, head)
  let { body } = found
  if (kept === undefined) {
    if (!isClientSpecific) x.waitUntil(Promise.all([tiers.drop(place.slot, x), tiers.drop(key.hash, x)]))
    finish('uncacheable')
    if (shape === 'head' || shape === 'not-modified') dropBody(found)
  } else if (shape === 'whole') {
    const filling = tiers.write(place.slot, { head, body }, x)
    finish(filling)
    body = filling.body
  } else {
    const [own, others] = shape === 'range' && body !== null ? body.tee() : [null, body]
    finish(tiers.keep(place.slot, { head, body: others }, x))
    body = own
  }
  const response = responseFrom(request, head, shape, { body }, cache.now())
  return labelled(x, response, { fwd, fwdStatus: 304, stored: kept !== undefined })
}

function serveResponse(fetch: OriginFetchState, got: OriginResponse): Response {
  const { cache, x, usable, fwd, finish } = fetch
  const { status } = got.response
  if (status >= 500 && usable?.verdict.onError === true) {
    cache.counters.errorHits++
    finish('failed')
    discardBody(got.response)
    return respondFromStore(cache, x, usable, {
      fwd,
      fwdStatus: status,
      ttl: usable.verdict.ttl,
      detail: 'stale-if-error',
    })
  }
  if (x.request.method === 'HEAD' && usable !== undefined) updateByHead(fetch, got, usable.found)
  else if (usable !== undefined) dropBody(usable.found)
  // The request carried no condition.
  if (status === 304) {
    finish('failed')
    discardBody(got.response)
    return labelled(x, problem('upstream-protocol'), { fwd, fwdStatus: status })
  }
  return x.request.method === 'HEAD' ? labelled(x, got.response, { fwd, fwdStatus: status }) : store(fetch, got)
}

/** Updates or drops the stored response by the response to a HEAD (RFC 9111 §4.3.5). */
function updateByHead(
  { cache, x, place, normalized }: OriginFetchState,
  got: OriginResponse,
  found: FoundResponse,
): void {
  const { head, body } = found
  const updated = freshenByHead(head, got.response, got.requestTime, got.responseTime)
  // A field outside the key may have influenced the response: it changes nothing for others.
  if (updated === head || uncoveredFields(normalized, got.response.headers).length > 0) return dropBody(found)
  const kept = updated && planKeeping(cache, x, updated)
  if (kept !== undefined) return void cache.tiers.keep(place.slot, { head: kept, body }, x)
  dropBody(found)
  x.waitUntil(cache.tiers.drop(place.slot, x))
}

function store(
  { cache, x, key, place, normalized, usable, fwd, finish }: OriginFetchState,
  got: OriginResponse,
): Response {
  const { response } = got
  const status = got.fwdStatus ?? response.status
  const plan = planStoring(cache, x, key, place, normalized, got)
  if ('why' in plan) {
    // A problem of the gateway in place of the origin's response says nothing about the responses to others.
    const isFailure = status >= 500 || problemCode(response) !== undefined
    // The origin's response differs from the stored one. A client's own no-store says nothing about that.
    if (usable !== undefined && !isFailure && plan.why !== 'unkeyed-header' && plan.why !== 'request-no-store')
      x.waitUntil(cache.tiers.drop(place.slot, x))
    // Otherwise the old Vary would hide the new variants for as long as the old response is stored.
    if (plan.why === 'vary-changed') x.waitUntil(cache.tiers.drop(key.hash, x))
    finish(isFailure ? 'failed' : 'uncacheable')
    return labelled(x, response, { fwd, fwdStatus: status, stored: false, detail: plan.why })
  }
  cache.counters.stored++
  const { slot, head } = plan
  const request = receivedRequest(x)
  const shape = shapeOf(request, head)
  if (shape === 'not-modified') {
    finish(cache.tiers.keep(slot, { head, body: response.body }, x))
    return labelled(x, responseFrom(request, head, shape, { body: null }, cache.now()), {
      fwd,
      fwdStatus: status,
      stored: true,
    })
  }
  const filling = cache.tiers.write(slot, { head, body: response.body }, x)
  finish(filling)
  return labelled(x, new Response(filling.body, response), { fwd, fwdStatus: status, stored: true })
}
