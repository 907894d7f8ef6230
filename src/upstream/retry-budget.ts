import type { RetryConfig } from '../config/upstream.ts'

/** What keeps retries from multiplying the load on an upstream that is already failing. One per isolate. */
export interface RetryBudget {
  /** Counts a request, retried or not. */
  readonly countRequest: (now: number) => void
  /** Takes one retry; false when the window has had its share. */
  readonly take: (now: number) => boolean
}

/** One slot more than the window holds: the current one is not full yet, and what is counted must cover a whole window. */
const SLOTS = 11

/** Retries in any window stay within `percent` of its requests plus `minPerSecond` (so world-wide that much for each isolate). */
export function makeRetryBudget({ percent, window, minPerSecond }: RetryConfig['budget']): RetryBudget {
  const width = window / (SLOTS - 1)
  const floor = (minPerSecond * window) / 1_000
  const requests: number[] = Array.from({ length: SLOTS }, () => 0)
  const retries: number[] = Array.from({ length: SLOTS }, () => 0)
  let newest = 0

  /** Empties the slots that time has passed over, and returns the current one's index. */
  const advance = (now: number): number => {
    const current = Math.floor(now / width)
    // A clock set back a little keeps counting where it was; one set far back begins anew.
    if (current <= newest - SLOTS) newest = current - SLOTS
    for (let slot = Math.max(newest + 1, current - SLOTS + 1); slot <= current; slot++) {
      requests[slot % SLOTS] = retries[slot % SLOTS] = 0
    }
    newest = Math.max(newest, current)
    return newest % SLOTS
  }

  return {
    countRequest: (now) => {
      requests[advance(now)]!++
    },
    take: (now) => {
      const slot = advance(now)
      if (sum(retries) + 1 > (sum(requests) * percent) / 100 + floor) return false
      retries[slot]!++
      return true
    },
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}
