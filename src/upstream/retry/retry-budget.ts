import * as z from 'zod/mini'
import { doc, duration, percent } from '../../config/schema/scalars.ts'
import type { Middleware } from '../../core/pipeline.ts'

/** The schema of `retry.budget`; hedges without `retry` have its defaults. Apart from the other schemas, so that the Worker has no more of them than this. */
export const retryBudget = z.strictObject({
  percent: doc(
    z.prefault(percent, 20),
    'How many retries the requests of the window allow, in per cent of them. Default 20.',
  ),
  window: doc(z.prefault(duration(1_000), '10s'), 'How long a request counts. Default 10s.'),
  minPerSecond: doc(
    z.prefault(z.number().check(z.gte(0)), 3),
    'Retries a second that are allowed however few the requests are. Default 3.',
  ),
})

/** What keeps retries and hedges from multiplying the load on an upstream that is already failing. One per isolate. */
export interface RetryBudget {
  /** Counts a request, retried or not. */
  readonly countRequest: (now: number) => void
  /** Takes one retry; false when the window has had its share and the floor is used up. */
  readonly take: (now: number) => boolean
}

/** One slot more than the window holds, because the current one is not full yet. */
const SLOTS = 11

/**
 * Retries in any window stay within `percent` of its requests, plus `minPerSecond` for each of its seconds and one second's worth
 * that may be saved up (so world-wide that much for each isolate).
 */
export function makeRetryBudget({ percent, window, minPerSecond }: z.output<typeof retryBudget>): RetryBudget {
  const width = window / (SLOTS - 1)
  const takeFloor = makeFloor(minPerSecond)
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
      // Retries of no less than a window against requests of no more than one: the oldest slot reaches further back.
      const counted = sum(requests) - requests[(slot + 1) % SLOTS]!
      // What the floor gives counts as well: it stands under the share, not on top of it.
      if (sum(retries) + 1 > (counted * percent) / 100 && !takeFloor(now)) return false
      retries[slot]!++
      return true
    },
  }
}

/** Counts each request once, outside whatever may make several tries of it. */
export function countRequests(budget: RetryBudget): Middleware {
  return (next) => (x) => {
    budget.countRequest(x.startedAt)
    return next(x)
  }
}

/** A token bucket that holds one second's worth: a floor for a whole window would let all of it go in one burst. */
function makeFloor(perSecond: number): (now: number) => boolean {
  const most = perSecond === 0 ? 0 : Math.max(1, perSecond)
  let tokens = most
  let filledAt = 0
  return (now) => {
    // The distance, because a clock may step back.
    tokens = Math.min(most, tokens + (Math.abs(now - filledAt) * perSecond) / 1_000)
    filledAt = now
    if (tokens < 1) return false
    tokens--
    return true
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}
