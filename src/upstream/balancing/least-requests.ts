import type { Platform } from '../../core/platform.ts'
import type { Strategy } from './balance.ts'
import type { Target } from '../target.ts'
import { chooseOfTwo } from './two-choices.ts'

/** Of two candidates the one with fewer tries in flight for its weight; where that makes no difference, the one whose turn it is. */
export function leastRequests({ random }: Pick<Platform, 'random'>): Strategy {
  return { choose: (candidates, _, now) => chooseOfTwo(candidates, random, isLessLoaded, now) }
}

/** Whether `other` would carry no more for its weight with this try than `next` does without it. Among equals: whether it carries less. */
function isLessLoaded(other: Target, next: Target): boolean {
  return (other.inFlight + 1) * next.weight <= next.inFlight * other.weight
}
