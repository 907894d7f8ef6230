import { isEjected } from './outlier.ts'
import { isResting, type Target } from '../target.ts'

/**
 * Those of `targets` among which may be chosen; none when all are drained, or out of health where health is never ignored. When
 * fewer than `panicThreshold` per cent of those that are not drained are healthy, health is ignored: the few would go down
 * under the load of all. Allocates nothing while nothing is wrong.
 */
export function eligible(
  targets: readonly Target[],
  avoided: readonly string[],
  panicThreshold: number,
  now: number,
): readonly Target[] {
  if (avoided.length === 0 && areFine(targets, now)) return targets
  const inUse = targets.filter(({ condition }) => condition !== 'drained')
  const healthy = inUse.filter((target) => target.condition === 'ok' && !isEjected(target.standing, now))
  const panics = healthy.length * 100 < panicThreshold * inUse.length
  const scores = inUse.map((target) => reluctance(target, avoided, panics, now))
  const least = Math.min(...scores)
  return least === NEVER ? [] : inUse.filter((_, i) => scores[i] === least)
}

function areFine(targets: readonly Target[], now: number): boolean {
  for (const target of targets)
    if (target.condition !== 'ok' || target.standing.state !== 'in' || isResting(target, now)) return false
  return true
}

const NEVER = Infinity

/**
 * What speaks against a target. Having been ejected weighs most, but does not forbid: whatever else is out, never all are. Having
 * failed this very exchange weighs more than resting since it failed another.
 */
function reluctance(target: Target, avoided: readonly string[], panics: boolean, now: number): number {
  const lately = (avoided.includes(target.label) ? 2 : 0) + (isResting(target, now) ? 1 : 0)
  if (panics) return lately
  if (target.condition === 'unhealthy') return NEVER
  return lately + (isEjected(target.standing, now) ? 4 : 0)
}
