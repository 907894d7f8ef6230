import type { Exchange } from '../core/exchange.ts'
import type { RequestDirectives } from './http/directives.ts'
import { dropBody } from './lookup.ts'
import { judge, type Verdict } from './http/reuse.ts'
import type { RouteCache } from './route-cache.ts'
import type { Found } from './store/tiers.ts'

/** Milliseconds by which the clocks of those who share a store may differ. */
const CLOCK_SLACK_MS = 2_000

/** A stored answer that may still be of use, and what may be done with it. */
export interface Usable {
  readonly found: Found
  readonly verdict: Verdict
}

/** Judges a stored answer by its purges and its freshness; undefined when it is as if it were not there. */
export async function assess(
  cache: RouteCache,
  found: Found | undefined,
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
  const verdict = judge(head, asked, now, cache.life, typeof standing === 'number' ? standing : Infinity)
  // Fetched in the future, before a clock stepped back: it would outlive its time, and every purge until then.
  const isDated = head.requestTime <= now + CLOCK_SLACK_MS
  if (standing !== 'validate' && isDated) return { found, verdict }
  return { found, verdict: { ...verdict, use: 'validate', fwd: verdict.fwd ?? 'stale', onError: false } }
}
