import type { Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import type { OutlierConfig } from '../health/config.ts'
import { tryResult, type TryResult } from '../outcome.ts'
import { isCoolingDown, isEjected, NEVER_EJECTED, type OutlierState, type Target } from '../target.ts'
/** What `judge` needs of the configuration: a number of tries, and durations in milliseconds. */
export type OutlierSettings = Pick<OutlierConfig, 'consecutive5xx' | 'baseEjection' | 'maxEjection'>

/** How many of `count` targets may be ejected at once: at most `percent`, and never all. */
export function maxEjected(count: number, percent: number): number {
  return Math.max(0, Math.min(Math.floor((count * percent) / 100), count - 1))
}

/**
 * What a try's result makes of a target's standing: the `consecutive5xx`th failure in a row ejects it, once `hasRoom`, for as
 * many times `baseEjection` as it was ejected; one of these is forgiven for each `baseEjection` that it then stayed in.
 */
export function judgeTry(
  standing: OutlierState,
  result: TryResult,
  settings: OutlierSettings,
  hasRoom: () => boolean,
  now: number,
): OutlierState {
  // Tries that were on their way before, or that panic sent, change nothing until the term is over.
  if (result === 'void' || isEjected(standing, now)) return standing
  const inside = standing.state === 'in' ? standing : returned(standing)
  if (result === 'good') return inside.failures === 0 ? inside : { ...inside, failures: 0 }
  const failures = inside.failures + 1
  if (failures < settings.consecutive5xx || !hasRoom()) return { ...inside, failures }
  const forgiven = Math.floor(Math.max(0, now - inside.since) / settings.baseEjection)
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

/** What goes around each try to one of `targets`, judging it; undefined where none could ever be ejected. */
export function outlierDetection(
  targets: readonly Target[],
  config: OutlierConfig,
  platform: Pick<Platform, 'now'>,
): ((target: Target) => Middleware) | undefined {
  const most = maxEjected(targets.length, config.maxEjectionPercent)
  if (most === 0) return undefined
  const hasRoom = (now: number) =>
    targets.filter(({ outlierState: standing }) => isEjected(standing, now)).length < most
  return (target) => (next) => (x) =>
    next(x).then((response) => {
      const result = tryResult(response)
      if (result === 'good' && target.outlierState === NEVER_EJECTED) return response
      const now = platform.now()
      target.outlierState = judgeTry(target.outlierState, result, config, () => hasRoom(now), now)
      return response
    })
}

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
  const healthy = inUse.filter((target) => target.condition === 'ok' && !isEjected(target.outlierState, now))
  const panics = healthy.length * 100 < panicThreshold * inUse.length
  const scores = inUse.map((target) => reluctance(target, avoided, panics, now))
  const least = Math.min(...scores)
  return least === NEVER ? [] : inUse.filter((_, i) => scores[i] === least)
}

function areFine(targets: readonly Target[], now: number): boolean {
  for (const target of targets)
    if (target.condition !== 'ok' || target.outlierState.state !== 'in' || isCoolingDown(target, now)) return false
  return true
}

const NEVER = Infinity

/**
 * What speaks against a target. Having been ejected weighs most, but does not forbid: whatever else is out, never all are. Having
 * failed this very exchange weighs more than resting since it failed another.
 */
function reluctance(target: Target, avoided: readonly string[], panics: boolean, now: number): number {
  const lately = (avoided.includes(target.label) ? 2 : 0) + (isCoolingDown(target, now) ? 1 : 0)
  if (panics) return lately
  if (target.condition === 'unhealthy') return NEVER
  return lately + (isEjected(target.outlierState, now) ? 4 : 0)
}
