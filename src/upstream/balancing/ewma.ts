import type { Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { distance, elapsed } from '../../lib/time.ts'
import { tryResult, type TryResult } from '../outcome.ts'
import type { LatencyEwma, Target } from '../target.ts'
import { uploadEnd } from '../upload.ts'
import { chooseOfTwo, type BalancingStrategy } from './two-choices.ts'

/** The time constant of the average in milliseconds: a sample decays to 37 % in this time. */
const DECAY_MS = 10_000
/** Milliseconds without a sample after which the average is discarded, so that a target that was slow or ejected is tried again. */
const EXPIRY_MS = 20_000
/** The response time, in milliseconds, that a failure counts as when there is no average. */
const FAILURE_PENALTY_MS = 1_000
/** More than any known cost, so that a target without a response so far gets one try at a time. */
const UNKNOWN_COST = 1e15

/**
 * Chooses the next candidate in turn, unless another has a lower cost even with this try added. The cost is the peak EWMA of response
 * times (it rises at once and decays slowly), times the tries in flight for its weight, doubled for each failure in a row. The try counts
 * against the other candidate only, so that small differences, which are noise, do not change the weights' shares.
 */
export function ewma(targets: readonly Target[], platform: Pick<Platform, 'now' | 'random'>): BalancingStrategy {
  const meanWeight = targets.reduce((sum, { weight }) => sum + weight, 0) / targets.length
  const cost = (target: Target, tries: number, now: number) =>
    costPerTry(target, now) * (1 + (tries * meanWeight) / target.weight)
  const isQuicker = (other: Target, next: Target, now: number) =>
    cost(other, other.inFlight + 1, now) < cost(next, next.inFlight, now)
  return {
    choose: (candidates, { route }, now) => chooseOfTwo(candidates, platform.random, isQuicker, now, route),
    middlewareFor: ({ latencyEwma }) => measureLatency(latencyEwma, platform),
  }
}

/** The expected cost of a try in milliseconds; 0 for a target that needs a sample. */
export function costPerTry({ latencyEwma, inFlight }: Pick<Target, 'latencyEwma' | 'inFlight'>, now: number): number {
  const age = distance(latencyEwma.updatedAt, now)
  if (age > EXPIRY_MS) return inFlight === 0 ? 0 : UNKNOWN_COST
  // The mean age of the waiting tries: a target that hangs is noticed before it responds.
  const waitingMs = latencyEwma.waiting === 0 ? 0 : now - latencyEwma.sentAt / latencyEwma.waiting
  // The clock counts whole milliseconds. One is added, so that the ratio of 0 to 1 is not infinite. A single failure does not raise the cost.
  return (
    (1 + Math.max(waitingMs, latencyEwma.ms * Math.exp(-age / DECAY_MS))) * 2 ** Math.max(0, latencyEwma.failures - 1)
  )
}

/** Records the result of a try after `ms` milliseconds; a `void` try would have taken at least that long. */
export function recordLatency(latencyEwma: LatencyEwma, result: TryResult, ms: number, now: number): void {
  const age = distance(latencyEwma.updatedAt, now)
  const kept = age > EXPIRY_MS ? 0 : Math.exp(-age / DECAY_MS)
  const before = latencyEwma.ms * kept
  switch (result) {
    case 'good':
      latencyEwma.ms = Math.max(ms, before + ms * (1 - kept))
      latencyEwma.failures = 0
      break
    case 'failed':
      // A fast failure must not lower the average.
      latencyEwma.ms = Math.max(ms, kept === 0 ? FAILURE_PENALTY_MS : before)
      latencyEwma.failures = Math.min(30, latencyEwma.failures + 1)
      break
    case 'void':
      latencyEwma.ms = Math.max(ms, before)
  }
  latencyEwma.updatedAt = now
}

/** Measures each try of one target. */
function measureLatency(latencyEwma: LatencyEwma, { now }: Pick<Platform, 'now'>): Middleware {
  return (next) => (x) => {
    const sentAt = now()
    // The client determines how long a streamed body takes.
    const counts = !(x.outgoing.body instanceof ReadableStream)
    const pending = next(x)
    if (counts) {
      latencyEwma.waiting++
      latencyEwma.sentAt += sentAt
    }
    const end = () => {
      if (!counts) return
      latencyEwma.waiting--
      latencyEwma.sentAt -= sentAt
    }
    return pending.then(
      (response) => {
        end()
        const time = now()
        const ms = elapsed(Math.max(sentAt, uploadEnd(x)), time)
        recordLatency(latencyEwma, tryResult(response), ms, time)
        return response
      },
      (error: unknown) => {
        end()
        throw error
      },
    )
  }
}
