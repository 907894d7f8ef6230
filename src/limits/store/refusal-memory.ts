import type { LimitVerdict, StoreLimiter } from '../limiter.ts'

interface Refusal {
  readonly verdict: LimitVerdict
  readonly cost: number
  /** When the store was called and when it responded, epoch milliseconds: it decided between the two. */
  readonly askedAt: number
  readonly heardAt: number
}

/** About 3 MB at the worst. Forgetting costs a call each, and no promise. */
const MOST_REMEMBERED = 10_000

/**
 * A store that is not called again for a key that it has just refused, until tokens can have returned.
 * So a flood at a used-up limit costs the deployment no calls.
 */
export function rememberRefusals(store: StoreLimiter, now: () => number): StoreLimiter {
  const refusals = new Map<string, Refusal>()
  const recall = (key: string, cost: number): LimitVerdict | undefined => {
    const known = refusals.get(key)
    if (known === undefined) return undefined
    const { verdict, askedAt, heardAt } = known
    const passed = now() - heardAt
    // The longest wait and the shortest elapsed time count: that can cost one call too many, and refuses no request wrongly.
    const atMost = now() - askedAt
    // Below 0 the clock has stepped back, and the elapsed time is unknown.
    if (passed >= 0 && atMost < verdict.resetMs && cost >= known.cost)
      return { ...verdict, resetMs: verdict.resetMs - passed, decidedAt: verdict.decidedAt + atMost }
    refusals.delete(key)
    return undefined
  }
  return {
    drain: store.drain,
    async take(key, cost, waitUntil) {
      const known = recall(key, cost)
      if (known !== undefined) return known
      const askedAt = now()
      const verdict = await store.take(key, cost, waitUntil)
      if (verdict?.allowed === false) {
        if (refusals.size >= MOST_REMEMBERED) refusals.clear()
        refusals.set(key, { verdict, cost, askedAt, heardAt: now() })
      }
      return verdict
    },
  }
}
