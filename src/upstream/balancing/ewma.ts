import type { Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { tryResult, type TryResult } from '../outcome.ts'
import type { LatencyEwma, Target } from '../target.ts'
import { uploadEnd } from '../upload.ts'
import { chooseOfTwo, type BalancingStrategy } from './two-choices.ts'
/** In this time what was heard fades to 37 %, in milliseconds. */
const FADE_MS = 10_000
/** What was heard longer ago is forgotten, in milliseconds: how a target that was slow or away gets to show what it is now. */
const FORGET_MS = 20_000
/** The time that a target of which nothing else is known gets for failing. */
const FAILED_MS = 1_000
/** More than any known cost, so that a target that has not answered yet is asked one thing at a time. */
const UNKNOWN = 1e15

/**
 * The candidate whose turn it is, unless another is quicker even with this try on top: by the time its answers take, which jumps up
 * at once and comes down slowly ("peak EWMA"), times the tries it has in flight for its weight, doubled for each failure in a row.
 * That the try counts against the other alone leaves small differences, which are noise, to the turn and so to the weights.
 */
export function ewma(targets: readonly Target[], platform: Pick<Platform, 'now' | 'random'>): BalancingStrategy {
  const meanWeight = targets.reduce((sum, { weight }) => sum + weight, 0) / targets.length
  const cost = (target: Target, tries: number, now: number) =>
    costPerTry(target, now) * (1 + (tries * meanWeight) / target.weight)
  const isQuicker = (other: Target, next: Target, now: number) =>
    cost(other, other.inFlight + 1, now) < cost(next, next.inFlight, now)
  return {
    choose: (candidates, _, now) => chooseOfTwo(candidates, platform.random, isQuicker, now),
    around: ({ latencyEwma: pace }) => timed(pace, platform),
  }
}

/** What a try is expected to cost, in milliseconds; 0 asks for a try. */
export function costPerTry({ latencyEwma, inFlight }: Pick<Target, 'latencyEwma' | 'inFlight'>, now: number): number {
  const quiet = Math.abs(now - latencyEwma.updatedAt)
  if (quiet > FORGET_MS) return inFlight === 0 ? 0 : UNKNOWN
  // How long those that wait have waited on average: a target that hangs is noticed before it answers.
  const age = latencyEwma.waiting === 0 ? 0 : now - latencyEwma.sentAt / latencyEwma.waiting
  // The clock counts whole milliseconds: one more, or 0 and 1 would be worlds apart. One failure can happen to anybody.
  return (1 + Math.max(age, latencyEwma.ms * Math.exp(-quiet / FADE_MS))) * 2 ** Math.max(0, latencyEwma.failures - 1)
}

/** Takes in how a try ended after `ms` milliseconds; a `void` one would have taken at least so long. */
export function recordLatency(latencyEwma: LatencyEwma, result: TryResult, ms: number, now: number): void {
  const quiet = Math.abs(now - latencyEwma.updatedAt)
  const kept = quiet > FORGET_MS ? 0 : Math.exp(-quiet / FADE_MS)
  const before = latencyEwma.ms * kept
  switch (result) {
    case 'good':
      latencyEwma.ms = Math.max(ms, before + ms * (1 - kept))
      latencyEwma.failures = 0
      break
    case 'failed':
      // However quick a failure is, it must not look like a quick answer.
      latencyEwma.ms = Math.max(ms, kept === 0 ? FAILED_MS : before)
      latencyEwma.failures = Math.min(30, latencyEwma.failures + 1)
      break
    case 'void':
      latencyEwma.ms = Math.max(ms, before)
  }
  latencyEwma.updatedAt = now
}

/** Watches each try of one target. */
function timed(latencyEwma: LatencyEwma, { now }: Pick<Platform, 'now'>): Middleware {
  return (next) => (x) => {
    const sentAt = now()
    // How fast a body comes is the client's doing.
    const counts = !(x.outgoing.body instanceof ReadableStream)
    const answer = next(x)
    if (counts) {
      latencyEwma.waiting++
      latencyEwma.sentAt += sentAt
    }
    const end = () => {
      if (!counts) return
      latencyEwma.waiting--
      latencyEwma.sentAt -= sentAt
    }
    return answer.then(
      (response) => {
        end()
        const time = now()
        const ms = time - Math.max(sentAt, uploadEnd(x))
        recordLatency(latencyEwma, tryResult(response), Math.max(0, ms), time)
        return response
      },
      (error: unknown) => {
        end()
        throw error
      },
    )
  }
}
