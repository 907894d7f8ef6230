import * as z from 'zod/mini'
import { doc, duration, percent } from '../../config/schema/scalars.ts'
import type { Middleware } from '../../core/pipeline.ts'
import { distance } from '../../lib/time.ts'

/** The schema of `retry.budget`; hedges without `retry` use its defaults. In this file, so that the Worker bundles no other schema of `retry`. */
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

/** Bounds the load that retries and hedges add to a failing upstream. One per isolate. */
export interface RetryBudget {
  /** Counts a request, retried or not. */
  readonly countRequest: (now: number) => void
  /** Takes one retry from the budget; false when the window's share and the floor are both used up. */
  readonly take: (now: number) => boolean
}

/** One slot more than the window holds, because the current one is not full yet. */
const SLOTS = 11

/**
 * Retries in any window stay within `percent` of its requests, plus `minPerSecond` for each of its seconds and one second's worth
 * that may be saved up. All isolates together may add that much for each isolate.
 */
export function makeRetryBudget({ percent, window, minPerSecond }: z.output<typeof retryBudget>): RetryBudget {
  const width = window / (SLOTS - 1)
  const takeFromFloor = makeTokenBucket(minPerSecond)
  const requests: number[] = Array.from({ length: SLOTS }, () => 0)
  const retries: number[] = Array.from({ length: SLOTS }, () => 0)
  let newest = 0

  /** Clears the slots that have expired, and returns the index of the current one. */
  const advance = (now: number): number => {
    const current = Math.floor(now / width)
    // A clock set back by less than the window keeps counting in the newest slot; one set further back starts again.
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
      // The oldest slot reaches back further than one window: its retries count, its requests do not.
      const counted = sum(requests) - requests[(slot + 1) % SLOTS]!
      // Retries granted by the floor count as well: the floor is the minimum of the share and is not added to it.
      if (sum(retries) + 1 > (counted * percent) / 100 && !takeFromFloor(now)) return false
      retries[slot]!++
      return true
    },
  }
}

/** Counts each request once; stands outside the stages that make several tries of it. */
export function countRequests(budget: RetryBudget): Middleware {
  return (next) => (x) => {
    budget.countRequest(x.startedAt)
    return next(x)
  }
}

/** A token bucket that holds one second's worth: one for a whole window would allow all of it in one burst. */
function makeTokenBucket(perSecond: number): (now: number) => boolean {
  const capacity = perSecond === 0 ? 0 : Math.max(1, perSecond)
  let tokens = capacity
  let filledAt = 0
  return (now) => {
    tokens = Math.min(capacity, tokens + (distance(filledAt, now) * perSecond) / 1_000)
    filledAt = now
    if (tokens < 1) return false
    tokens--
    return true
  }
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0)
}
