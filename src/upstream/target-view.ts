import { isEjected } from './balancing/outlier.ts'
import { isResting, type Target, type TargetCondition } from './target.ts'
import { leftOf } from '../lib/interval.ts'

/** A target as one isolate sees it, as JSON for an operator. */
export interface TargetView {
  readonly label: string
  readonly weight: number
  /** Tries that wait for its response headers. */
  readonly inFlight: number
  readonly condition: TargetCondition
  /** Whether it is passed over for a second, because a connection to it has just failed. */
  readonly resting: boolean
  /** There while outlier detection has it ejected: for how much longer, in milliseconds, and how often by now. */
  readonly ejected?: { readonly forMs: number; readonly times: number }
  /** How quickly it answers on the average, in milliseconds, and how long ago that was last seen; there once `ewma` knows. */
  readonly pace?: { readonly ms: number; readonly agoMs: number }
}

/** How `target` stands at `now`, epoch milliseconds: a copy, without what is not known or over. */
export function describeTarget(target: Target, now: number): TargetView {
  const { label, weight, inFlight, condition, standing, pace } = target
  return {
    label,
    weight,
    inFlight,
    condition,
    resting: isResting(target, now),
    ...(standing.state === 'ejected' &&
      isEjected(standing, now) && { ejected: { forMs: leftOf(standing, now), times: standing.ejections } }),
    ...(pace.heardAt !== -Infinity && { pace: { ms: Math.round(pace.ms), agoMs: Math.abs(now - pace.heardAt) } }),
  }
}
