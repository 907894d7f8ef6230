import { createHash } from 'node:crypto'
import type { Exchange } from '../core/exchange.ts'
import { cacheStatus, type CacheHandling, type ForwardReason } from './http/cache-status.ts'
import type { RequestDirectives } from './http/directives.ts'
import { fieldsOf, fieldsOfRecord, isSelected, selectionKey, selectionOf, type Fields } from './http/entry.ts'
import { judgeReuse, type ReuseVerdict } from './http/reuse.ts'
import { responseFrom, shapeOf, type ConditionalRequest } from './http/stored-response.ts'
import type { CacheKey } from './key.ts'
import type { RouteCache } from './route-cache.ts'
import type { FoundResponse, Tiers } from './store/tiers.ts'

/** The result of looking up a request in the tiers. */
export interface Lookup {
  /** The key under which its response is stored, or would be. */
  readonly slot: string
  readonly found: FoundResponse | undefined
  /** The fields that select among the responses stored under this key. */
  readonly varies: readonly string[]
}

/**
 * Finds the stored response that a request selects. The first variant is stored under the key itself. Other variants are stored under the
 * key and a hash of their selecting fields, so that most responses cost one read. `seen`: the header fields of the request as the
 * origin would get them.
 */
export async function lookUp(tiers: Tiers, key: CacheKey, x: Exchange, seen: Fields): Promise<Lookup> {
  const first = await tiers.read(key.hash, x)
  const selecting = first?.head.selecting
  if (first === undefined || selecting === undefined) return { slot: key.hash, found: first, varies: [] }
  const varies = selecting.map(([name]) => name)
  if (isSelected(first.head, seen)) return { slot: key.hash, found: first, varies }
  dropBody(first)
  const slot = `${key.hash}.${sha256(selectionKey(selectionOf(varies, seen)))}`
  const found = await tiers.read(slot, x)
  return { slot, found, varies }
}

/** Cancels the body of a stored response that is not going to be read. */
export function dropBody(found: FoundResponse): void {
  if (found.bytes === undefined) found.body?.cancel().catch(() => {})
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Milliseconds by which the clocks of gateways that share a store may differ. */
const CLOCK_SLACK_MS = 2_000

/** A stored response that was not purged, and how it may be used. */
export interface Usable {
  readonly found: FoundResponse
  readonly verdict: ReuseVerdict
}

/** Judges a stored response by the purges and its freshness; undefined when there is none, or it was purged. */
export async function assess(
  cache: RouteCache,
  found: FoundResponse | undefined,
  x: Exchange,
  directives: RequestDirectives,
): Promise<Usable | undefined> {
  if (found === undefined) return undefined
  const { head } = found
  const status = cache.purges.standing(head, x)
  const standing = status instanceof Promise ? await status : status
  if (standing === 'gone') {
    dropBody(found)
    return undefined
  }
  const now = cache.now()
  const verdict = judgeReuse(head, directives, now, cache.life, typeof standing === 'number' ? standing : Infinity)
  // A response from the future was fetched before a clock stepped back: it would stay fresh for too long, and no purge would match it.
  const isDated = head.requestTime <= now + CLOCK_SLACK_MS
  if (standing !== 'validate' && isDated) return { found, verdict }
  return { found, verdict: { ...verdict, use: 'validate', fwd: verdict.fwd ?? 'stale', onError: false } }
}

/** Why a request without a stored response is forwarded (RFC 9211 §2.2). */
export const missOf = ({ varies, found }: Lookup): ForwardReason =>
  found === undefined && varies.length > 0 ? 'vary-miss' : 'miss'

/** Makes a response from a stored one. `handling` is given where it is not a plain hit. */
export function respondFromStore(cache: RouteCache, x: Exchange, usable: Usable, handling?: CacheHandling): Response {
  const { counters } = cache
  const { found, verdict } = usable
  const { head } = found
  if (handling === undefined) {
    counters.hits++
    if (verdict.use === 'serve-and-refresh' || verdict.ttl <= 0) counters.staleHits++
  }
  counters.originMsSaved += Math.max(0, head.responseTime - head.requestTime)
  const request = receivedRequest(x)
  const shape = shapeOf(request, head)
  if (shape === 'whole') counters.bytesSaved += lengthOf(head.headers)
  if (shape === 'head' || shape === 'not-modified') dropBody(found)
  const reported = handling ?? { hit: true, ttl: verdict.ttl, detail: found.tier }
  const label = cacheStatus(reported, fieldsOf(head.headers).get('cache-status'))
  return responseFrom(request, head, shape, found, cache.now(), label)
}

/** The client's request as the forms of a stored response need it, without a call into the runtime. */
export function receivedRequest({ headers, outgoing }: Exchange): ConditionalRequest {
  return { method: outgoing.method, headers: fieldsOfRecord(headers) }
}

function lengthOf(headers: FoundResponse['head']['headers']): number {
  const length = headers.find(([name]) => name === 'content-length')?.[1]
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : 0
}

/** Sets Cache-Status through the edits of the exchange, because the headers of a response of the origin are immutable. */
export function labelled(x: Exchange, response: Response, handling: CacheHandling): Response {
  const value = cacheStatus(handling, response.headers.get('cache-status'))
  x.edits.push({ op: 'set', name: 'cache-status', value })
  return response
}
