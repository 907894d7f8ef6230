import { createHash } from 'node:crypto'
import type { Exchange } from '../core/exchange.ts'
import { cacheStatus, type CacheHandling, type ForwardReason } from './http/cache-status.ts'
import type { RequestDirectives } from './http/directives.ts'
import { matchesSelection, selectionKey, selectionOf, type Fields } from './http/entry.ts'
import { judgeReuse, type ReuseVerdict } from './http/reuse.ts'
import { responseFrom, shapeOf } from './http/stored-response.ts'
import type { CacheKey } from './key.ts'
import type { RouteCache } from './route-cache.ts'
import type { FoundResponse, Tiers } from './store/tiers.ts'

/** What the tiers have for a request. */
export interface Lookup {
  /** Where its answer is, or would be put. */
  readonly slot: string
  readonly found: FoundResponse | undefined
  /** What Vary named in an answer that was stored under this key. */
  readonly varies: readonly string[]
}

/**
 * Finds the stored answer that a request selects. The first that came is under the key itself; those that its Vary tells apart from it
 * are under the key and what they were selected by, so that an answer without Vary costs one look. `seen`: the request as the origin would
 * see it.
 */
export async function lookUp(tiers: Tiers, key: CacheKey, x: Exchange, seen: Fields): Promise<Lookup> {
  const first = await tiers.read(key.hash, x)
  const selecting = first?.head.selecting
  if (first === undefined || selecting === undefined) return { slot: key.hash, found: first, varies: [] }
  const varies = selecting.map(([name]) => name)
  if (matchesSelection(selecting, seen)) return { slot: key.hash, found: first, varies }
  dropBody(first)
  const slot = `${key.hash}.${sha256(selectionKey(selectionOf(varies, seen)))}`
  const found = await tiers.read(slot, x)
  return { slot, found, varies }
}

/** Frees what a stored answer holds that nobody will read. */
export function dropBody({ body }: Pick<FoundResponse, 'body'>): void {
  body?.cancel().catch(() => {})
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')

/** Milliseconds by which the clocks of those who share a store may differ. */
const CLOCK_SLACK_MS = 2_000

/** A stored answer that may still be of use, and what may be done with it. */
export interface Usable {
  readonly found: FoundResponse
  readonly verdict: ReuseVerdict
}

/** Judges a stored answer by its purges and its freshness; undefined when it is as if it were not there. */
export async function assess(
  cache: RouteCache,
  found: FoundResponse | undefined,
  x: Exchange,
  asked: RequestDirectives,
): Promise<Usable | undefined> {
  if (found === undefined) return undefined
  const { head } = found
  const answer = cache.purges.standing(head, x)
  const standing = answer instanceof Promise ? await answer : answer
  if (standing === 'gone') {
    dropBody(found)
    return undefined
  }
  const now = cache.now()
  const verdict = judgeReuse(head, asked, now, cache.life, typeof standing === 'number' ? standing : Infinity)
  // Fetched in the future, before a clock stepped back: it would outlive its time, and every purge until then.
  const isDated = head.requestTime <= now + CLOCK_SLACK_MS
  if (standing !== 'validate' && isDated) return { found, verdict }
  return { found, verdict: { ...verdict, use: 'validate', fwd: verdict.fwd ?? 'stale', onError: false } }
}

/** Why a request for which nothing was stored goes on. */
export const missOf = ({ varies, found }: Lookup): ForwardReason =>
  found === undefined && varies.length > 0 ? 'vary-miss' : 'miss'

/** Answers from the store. `handling` where it is more than a plain hit. */
export function respondFromStore(cache: RouteCache, x: Exchange, usable: Usable, handling?: CacheHandling): Response {
  const { counters } = cache
  const { found, verdict } = usable
  const { head } = found
  if (handling === undefined) {
    counters.hits++
    if (verdict.use === 'serve-and-refresh' || verdict.ttl <= 0) counters.staleHits++
  }
  counters.originMsSaved += Math.max(0, head.responseTime - head.requestTime)
  const shape = shapeOf(x.request, head)
  if (shape === 'whole') counters.bytesSaved += lengthOf(head.headers)
  if (shape === 'head' || shape === 'not-modified') dropBody(found)
  const answer = responseFrom(x.request, head, shape, found.body, cache.now())
  const said = handling ?? { hit: true, ttl: verdict.ttl, detail: found.tier }
  answer.headers.set('cache-status', cacheStatus(said, answer.headers.get('cache-status')))
  return answer
}

function lengthOf(headers: FoundResponse['head']['headers']): number {
  const length = headers.find(([name]) => name === 'content-length')?.[1]
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : 0
}

/** Says in Cache-Status what became of a request; among the edits, since the origin's own response cannot be written to. */
export function labelled(x: Exchange, response: Response, handling: CacheHandling): Response {
  const value = cacheStatus(handling, response.headers.get('cache-status'))
  x.edits.push({ op: 'set', name: 'cache-status', value })
  return response
}
