import type { StoreLimiter, Verdict } from './limiter.ts'

interface Refusal {
  readonly verdict: Verdict
  readonly cost: number
  /** When it was heard, epoch milliseconds. */
  readonly heardAt: number
}

/** About 2 MB at the worst. Forgetting costs a call each, and no promise. */
const MOST_REMEMBERED = 10_000

/**
 * A store that is not asked again about a key that it has just refused, until there can be more of it: nothing comes back before, whoever asks.
 * So a flood at a used-up limit costs the deployment no calls.
 */
export function rememberRefusals(store: StoreLimiter, now: () => number): StoreLimiter {
  const refusals = new Map<string, Refusal>()
  const recall = (key: string, cost: number): Verdict | undefined => {
    const known = refusals.get(key)
    if (known === undefined) return undefined
    const passed = now() - known.heardAt
    // Below 0 the clock has stepped back, and nobody knows how long ago it was.
    if (passed >= 0 && passed < known.verdict.resetMs && cost >= known.cost)
      return { ...known.verdict, resetMs: known.verdict.resetMs - passed }
    refusals.delete(key)
    return undefined
  }
  return {
    async take(key, cost, waitUntil) {
      const known = recall(key, cost)
      if (known !== undefined) return known
      const verdict = await store.take(key, cost, waitUntil)
      if (verdict?.allowed === false) {
        if (refusals.size >= MOST_REMEMBERED) refusals.clear()
        refusals.set(key, { verdict, cost, heardAt: now() })
      }
      return verdict
    },
  }
}
