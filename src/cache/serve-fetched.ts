import type { Exchange } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import { problem, problemCode } from '../core/problem.ts'
import { discardBody } from '../lib/body.ts'
import type { FetchEnd, FetchLead } from './collapse/collapse.ts'
import type { ForwardReason } from './http/cache-status.ts'
import type { RequestDirectives } from './http/directives.ts'
import type { StoredHead } from './http/entry.ts'
import { responseFrom, shapeOf } from './http/stored-response.ts'
import { freshenByHead } from './http/validation.ts'
import type { CacheKey } from './key.ts'
import { assess, dropBody, labelled, lookUp, missOf, respondFromStore, type Lookup, type Usable } from './lookup.ts'
import type { NormalizedRequest } from './normalize-request.ts'
import { fetchFromOrigin, type OriginResponse } from './origin-fetch.ts'
import type { RouteCache } from './route-cache.ts'
import type { Found } from './store/tiers.ts'
import { planKeeping, planStoring } from './storing.ts'

/** One request that has to ask the origin. */
interface Errand {
  readonly cache: RouteCache
  readonly x: Exchange
  readonly key: CacheKey
  readonly place: Lookup
  readonly narrowed: NormalizedRequest
  /** What is stored, though not to be used without asking. */
  readonly usable: Usable | undefined
  readonly fwd: ForwardReason
  readonly finish: (ending: FetchEnd) => void
}

/** How often whoever is sent to read what others have stored, and finds it to be of no use, waits for others again. */
const MAX_READS = 2

/** Asks the origin, or waits for whoever is asking it for the same already: until then, having read in vain so often. */
export async function fetchAndServe(
  cache: RouteCache,
  x: Exchange,
  next: Handler,
  key: CacheKey,
  place: Lookup,
  usable: Usable | undefined,
  asked: RequestDirectives,
  { until, reads } = { until: cache.now() + cache.waitMs, reads: 0 },
): Promise<Response> {
  const received = { ...x.outgoing.headers }
  const narrowed = cache.narrow(x, place.varies)
  const fwd = usable?.verdict.fwd ?? missOf(place)
  let lead: FetchLead | undefined
  if (reads < MAX_READS && isShared(cache, x, narrowed, usable, asked)) {
    const turn = await cache.collapse.join(place.slot, x, until - cache.now(), reads > 0)
    if (turn.role === 'lead') lead = turn
    if (turn.role === 'read') {
      if (usable !== undefined) dropBody(usable.found)
      const there = await lookUp(cache.tiers, key, x, narrowed.seen)
      const theirs = await assess(cache, there.found, x, asked)
      if (theirs !== undefined && theirs.verdict.use !== 'validate') {
        cache.tally.collapsed++
        return respondFromStore(cache, x, theirs, { fwd, collapsed: true, ttl: theirs.verdict.ttl })
      }
      // Purged, expired, or for others: all who have found that out can still wait for one of them.
      Object.assign(x.outgoing.headers, received)
      return fetchAndServe(cache, x, next, key, there, theirs, asked, { until, reads: reads + 1 })
    }
  }
  const finish = (ending: FetchEnd) => {
    if (lead !== undefined) x.waitUntil(lead.finish(ending))
  }
  try {
    const errand: Errand = { cache, x, key, place, narrowed, usable, fwd, finish }
    const got = await fetchFromOrigin(x, next, narrowed, cache.now, usable?.found.head)
    return got.kind === 'confirmed' ? confirmed(errand, usable!, got.head) : answered(errand, got)
  } catch (error) {
    finish('failed')
    throw error
  }
}

/** Whether others may get the same answer: then one request asks for all. */
function isShared(
  { collapses }: RouteCache,
  { request }: Exchange,
  { unkeyed }: NormalizedRequest,
  usable: Usable | undefined,
  { noStore }: RequestDirectives,
): boolean {
  if (!collapses || noStore || unkeyed.length > 0 || request.method !== 'GET') return false
  if (usable === undefined) return true
  // What is never fresh, or has to be confirmed for each request, is of no use to others.
  const { ttl, age } = usable.verdict
  return ttl < 0 && ttl + age >= 0
}

/** The origin has said 304: what is stored is good again. */
function confirmed(errand: Errand, { found }: Usable, updated: StoredHead): Response {
  const { cache, x, key, place, narrowed, fwd, finish } = errand
  cache.tally.confirmed++
  const { tiers } = cache
  // What a field outside the key may have shaped in the 304 is for its sender alone.
  const isHis = narrowed.unkeyed.length > 0
  const kept = isHis ? undefined : planKeeping(cache, x, updated)
  const head = kept ?? updated
  const shape = shapeOf(x.request, head)
  let { body } = found
  if (kept === undefined) {
    if (!isHis) x.waitUntil(Promise.all([tiers.drop(place.slot, x), tiers.drop(key.hash, x)]))
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
  const answer = responseFrom(x.request, head, shape, body, cache.now())
  return labelled(x, answer, { fwd, fwdStatus: 304, stored: kept !== undefined })
}

function answered(errand: Errand, got: OriginResponse): Response {
  const { cache, x, usable, fwd, finish } = errand
  const { status } = got.answer
  if (status >= 500 && usable?.verdict.onError === true) {
    cache.tally.errorHits++
    finish('failed')
    discardBody(got.answer)
    return respondFromStore(cache, x, usable, {
      fwd,
      fwdStatus: status,
      ttl: usable.verdict.ttl,
      detail: 'stale-if-error',
    })
  }
  if (x.request.method === 'HEAD' && usable !== undefined) updateByHead(errand, got, usable.found)
  else if (usable !== undefined) dropBody(usable.found)
  // Nobody has asked the origin on any condition.
  if (status === 304) {
    finish('failed')
    discardBody(got.answer)
    return labelled(x, problem('upstream-protocol'), { fwd, fwdStatus: status })
  }
  return x.request.method === 'HEAD' ? labelled(x, got.answer, { fwd, fwdStatus: status }) : store(errand, got)
}

/** A HEAD says whether what is stored is still what a GET would bring (RFC 9111 §4.3.5). */
function updateByHead({ cache, x, place, narrowed }: Errand, got: OriginResponse, found: Found): void {
  const { head, body } = found
  const updated = freshenByHead(head, got.answer, got.requestTime, got.responseTime)
  // What a field that is in no key may have shaped changes nothing for others.
  if (updated === head || narrowed.unkeyed.length > 0) return dropBody(found)
  const kept = updated && planKeeping(cache, x, updated)
  if (kept !== undefined) return void cache.tiers.keep(place.slot, { head: kept, body }, x)
  dropBody(found)
  x.waitUntil(cache.tiers.drop(place.slot, x))
}

function store({ cache, x, key, place, narrowed, usable, fwd, finish }: Errand, got: OriginResponse): Response {
  const { answer } = got
  const { status } = answer
  const plan = planStoring(cache, x, key, place, narrowed, got)
  if ('why' in plan) {
    // The gateway's own word in place of the origin's, such as that this client has left, says nothing about what others would get.
    const isFailure = status >= 500 || problemCode(answer) !== undefined
    // What the origin says now is not what is stored; a client's own no-store says nothing about that.
    if (usable !== undefined && !isFailure && plan.why !== 'unkeyed-header' && plan.why !== 'request-no-store')
      x.waitUntil(cache.tiers.drop(place.slot, x))
    // Else what once told answers apart would keep them out for as long as the old one is there.
    if (plan.why === 'vary-changed') x.waitUntil(cache.tiers.drop(key.hash, x))
    finish(isFailure ? 'failed' : 'uncacheable')
    return labelled(x, answer, { fwd, fwdStatus: status, stored: false, detail: plan.why })
  }
  cache.tally.stored++
  const { slot, head } = plan
  const shape = shapeOf(x.request, head)
  if (shape === 'not-modified') {
    finish(cache.tiers.keep(slot, { head, body: answer.body }, x))
    return labelled(x, responseFrom(x.request, head, shape, null, cache.now()), {
      fwd,
      fwdStatus: status,
      stored: true,
    })
  }
  const filling = cache.tiers.write(slot, { head, body: answer.body }, x)
  finish(filling)
  return labelled(x, new Response(filling.body, answer), { fwd, fwdStatus: status, stored: true })
}
