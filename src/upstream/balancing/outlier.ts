import type { Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import type { OutlierConfig } from '../health/config.ts'
import { elapsed } from '../../lib/time.ts'
import { tryResult, type TryResult } from '../outcome.ts'
import { isCoolingDown, isEjected, NEVER_EJECTED, type OutlierState, type Target } from '../target.ts'

/** The settings of `nextOutlierState`: a number of tries, and durations in milliseconds. */
export type OutlierSettings = Pick<OutlierConfig, 'consecutive5xx' | 'baseEjection' | 'maxEjection'>

/** How many of `count` targets may be ejected at once: at most `percent`, and never all. */
export function maxEjected(count: number, percent: number): number {
  return Math.max(0, Math.min(Math.floor((count * percent) / 100), count - 1))
}

/**
 * The state of a target after a try. The `consecutive5xx`th failure in a row ejects it, if `hasRoom`, for `baseEjection` times its number
 * of ejections. That number falls by one for each `baseEjection` that the target then was not ejected.
 */
export function nextOutlierState(
  previous: OutlierState,
  result: TryResult,
  settings: OutlierSettings,
  hasRoom: () => boolean,
  now: number,
): OutlierState {
  // Tries that were sent before the ejection, or in panic mode, change nothing until the ejection ends.
  if (result === 'void' || isEjected(previous, now)) return previous
  const inside = previous.state === 'in' ? previous : returned(previous)
  if (result === 'good') return inside.failures === 0 ? inside : { ...inside, failures: 0 }
  const failures = inside.failures + 1
  if (failures < settings.consecutive5xx || !hasRoom()) return { ...inside, failures }
  const forgiven = Math.floor(elapsed(inside.since, now) / settings.baseEjection)
  const ejections = Math.max(0, inside.ejections - forgiven) + 1
  return {
    state: 'ejected',
    ejections,
    since: now,
    ms: Math.min(settings.maxEjection, settings.baseEjection * ejections),
  }
}

function returned({ ejections, since, ms }: OutlierState & { state: 'ejected' }): OutlierState & { state: 'in' } {
  return { state: 'in', failures: 0, ejections, since: since + ms }
}

/**
 * The middleware that updates the outlier state of one of `targets` after each try; undefined where none could ever be ejected. `onChange` is told
 * of a target that was ejected, or that is used again.
 */
export function outlierDetection(
  targets: readonly Target[],
  config: OutlierConfig,
  platform: Pick<Platform, 'now'>,
  onChange: (target: Target) => void = () => {},
): ((target: Target) => Middleware) | undefined {
  const limit = maxEjected(targets.length, config.maxEjectionPercent)
  if (limit === 0) return undefined
  const hasRoom = (now: number) => targets.filter(({ outlierState }) => isEjected(outlierState, now)).length < limit
  return (target) => (next) => (x) =>
    next(x).then((response) => {
      const result = tryResult(response)
      if (result === 'good' && target.outlierState === NEVER_EJECTED) return response
      const now = platform.now()
      const before = target.outlierState.state
      target.outlierState = nextOutlierState(target.outlierState, result, config, () => hasRoom(now), now)
      if (target.outlierState.state !== before) onChange(target)
      return response
    })
}

/**
 * The eligible ones of `targets`: none when all are drained, or all are unhealthy with a `panicThreshold` of 0. When fewer than
 * `panicThreshold` per cent of the targets that are not drained are healthy, health is ignored (panic mode), because the load of all
 * would overload the few. Allocates nothing while every target is fine.
 */
export function eligible(
  targets: readonly Target[],
  avoided: readonly string[],
  panicThreshold: number,
  now: number,
): readonly Target[] {
  if (avoided.length === 0 && areFine(targets, now)) return targets
  const inUse = targets.filter(({ condition }) => condition !== 'drained')
  const healthy = inUse.filter((target) => target.condition === 'ok' && !isEjected(target.outlierState, now))
  const panics = healthy.length * 100 < panicThreshold * inUse.length
  const penalties = inUse.map((target) => penaltyOf(target, avoided, panics, now))
  const least = Math.min(...penalties)
  return least === NEVER ? [] : inUse.filter((_, i) => penalties[i] === least)
}

function areFine(targets: readonly Target[], now: number): boolean {
  for (const target of targets)
    if (target.condition !== 'ok' || target.outlierState.state !== 'in' || isCoolingDown(target, now)) return false
  return true
}

const NEVER = Infinity

/**
 * The penalty of a target; the lowest is preferred. An ejection has the highest finite penalty, so that an ejected target is still used
 * when no other is left. A failure in this exchange counts more than the cool-down after a failure in another.
 */
function penaltyOf(target: Target, avoided: readonly string[], panics: boolean, now: number): number {
  const recent = (avoided.includes(target.label) ? 2 : 0) + (isCoolingDown(target, now) ? 1 : 0)
  if (panics) return recent
  if (target.condition === 'unhealthy') return NEVER
  return recent + (isEjected(target.outlierState, now) ? 4 : 0)
}
