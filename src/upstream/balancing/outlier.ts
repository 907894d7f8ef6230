import type { OutlierConfig } from '../health/config.ts'
import type { Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import type { Target } from '../target.ts'
import { leftOf, type Term } from '../../lib/interval.ts'
import { tryResult, type TryResult } from '../attempt.ts'

/** How a target stands with outlier detection. `ejections` lengthens the next one. */
export type Standing =
  | {
      readonly state: 'in'
      /** Failed tries in a row. */
      readonly failures: number
      readonly ejections: number
      /** When it came back, in epoch milliseconds. */
      readonly since: number
    }
  | ({ readonly state: 'ejected'; readonly ejections: number } & Term)

/** What `judge` needs of the configuration: a number of tries, and durations in milliseconds. */
export type OutlierSettings = Pick<OutlierConfig, 'consecutive5xx' | 'baseEjection' | 'maxEjection'>

/** How every target begins: never failed, never ejected. Told by its identity, so that a good answer costs no look at the clock. */
export const UNTROUBLED: Standing = { state: 'in', failures: 0, ejections: 0, since: -Infinity }

/** How many of `count` targets may be ejected at once: at most `percent`, and never all. */
export function mostEjected(count: number, percent: number): number {
  return Math.max(0, Math.min(Math.floor((count * percent) / 100), count - 1))
}

/** Whether an ejection lasts at `now`, epoch milliseconds; one that is over keeps its `state` until the next try is judged. */
export function isEjected(standing: Standing, now: number): boolean {
  return standing.state === 'ejected' && leftOf(standing, now) > 0
}

/**
 * What a try's result makes of a target's standing: the `consecutive5xx`th failure in a row ejects it, once `hasRoom`, for as
 * many times `baseEjection` as it was ejected; one of these is forgiven for each `baseEjection` that it then stayed in.
 */
export function judge(
  standing: Standing,
  result: TryResult,
  settings: OutlierSettings,
  hasRoom: () => boolean,
  now: number,
): Standing {
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

function returned({ ejections, since, ms }: Standing & { state: 'ejected' }): Standing & { state: 'in' } {
  return { state: 'in', failures: 0, ejections, since: since + ms }
}

/** What goes around each try to one of `targets`, judging it; undefined where none could ever be ejected. */
export function outlierDetection(
  targets: readonly Target[],
  config: OutlierConfig,
  platform: Pick<Platform, 'now'>,
): ((target: Target) => Middleware) | undefined {
  const most = mostEjected(targets.length, config.maxEjectionPercent)
  if (most === 0) return undefined
  const hasRoom = (now: number) => targets.filter(({ standing }) => isEjected(standing, now)).length < most
  return (target) => (next) => (x) =>
    next(x).then((response) => {
      const result = tryResult(response)
      if (result === 'good' && target.standing === UNTROUBLED) return response
      const now = platform.now()
      target.standing = judge(target.standing, result, config, () => hasRoom(now), now)
      return response
    })
}
