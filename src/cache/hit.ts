import type { Exchange } from '../core/exchange.ts'
import { cacheStatus, type Forwarded, type Handling } from './http/cache-status.ts'
import { dropBody, type Lookup, type Usable } from './lookup.ts'
import type { RouteCache } from './route-cache.ts'
import { answerFrom, shapeOf } from './http/stored-response.ts'
import type { Found } from './store/tiers.ts'
/** Why a request for which nothing was stored goes on. */
export const missOf = ({ varies, found }: Lookup): Forwarded =>
  found === undefined && varies.length > 0 ? 'vary-miss' : 'miss'

/** Answers from the store. `handling` where it is more than a plain hit. */
export function hit(cache: RouteCache, x: Exchange, usable: Usable, handling?: Handling): Response {
  const { tally } = cache
  const { found, verdict } = usable
  const { head } = found
  if (handling === undefined) {
    tally.hits++
    if (verdict.use === 'serve-and-refresh' || verdict.ttl <= 0) tally.staleHits++
  }
  tally.originMsSaved += Math.max(0, head.responseTime - head.requestTime)
  const shape = shapeOf(x.request, head)
  if (shape === 'whole') tally.bytesSaved += lengthOf(head.headers)
  if (shape === 'head' || shape === 'not-modified') dropBody(found)
  const answer = answerFrom(x.request, head, shape, found.body, cache.now())
  const said = handling ?? { hit: true, ttl: verdict.ttl, detail: found.tier }
  answer.headers.set('cache-status', cacheStatus(said, answer.headers.get('cache-status')))
  return answer
}

function lengthOf(headers: Found['head']['headers']): number {
  const length = headers.find(([name]) => name === 'content-length')?.[1]
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : 0
}

/** Says in Cache-Status what became of a request; among the edits, since the origin's own answer cannot be written to. */
export function labelled(x: Exchange, answer: Response, handling: Handling): Response {
  const value = cacheStatus(handling, answer.headers.get('cache-status'))
  x.edits.push({ op: 'set', name: 'cache-status', value })
  return answer
}
