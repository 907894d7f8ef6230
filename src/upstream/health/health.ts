import type { HealthCheckConfig } from './config.ts'
import type { Target } from '../target.ts'
import { remaining } from '../../lib/time.ts'

/** What an isolate wants to have asked. Durations in milliseconds. */
export interface HealthSettings extends Omit<HealthCheckConfig, 'path'> {
  /** The URL of each target's check, by the target's label. */
  readonly targets: Readonly<Record<string, string>>
}

/** Why a check failed: `status 503`, `timeout`, `unreachable`. */
export type CheckFailure = string

/** What the checks say of a target, and how far the last of them point the other way. Plain data: it is stored. */
export type Health =
  | { readonly state: 'healthy'; readonly failures: number }
  | {
      readonly state: 'unhealthy'
      readonly successes: number
      /** When and why it became so; epoch milliseconds. */
      readonly since: number
      readonly fault: CheckFailure
    }

/** Trusted until its checks say otherwise: a new target would else get nothing until it was asked. */
export const HEALTHY: Health = { state: 'healthy', failures: 0 }

/** What the objects of an upstream with this `healthCheck` are to ask. */
export function healthSettings(config: HealthCheckConfig, targets: readonly Target[]): HealthSettings {
  const { path, ...rest } = config
  return { ...rest, targets: Object.fromEntries(targets.map(({ label, base }) => [label, base + path])) }
}

/** Counts one more check; only as many alike in a row as the threshold says change the state. The same object when nothing changes. */
export function judgeHealth(
  health: Health,
  fault: CheckFailure | undefined,
  { unhealthyThreshold, healthyThreshold }: Pick<HealthSettings, 'unhealthyThreshold' | 'healthyThreshold'>,
  now: number,
): Health {
  switch (health.state) {
    case 'healthy': {
      if (fault === undefined) return health.failures === 0 ? health : HEALTHY
      const failures = health.failures + 1
      if (failures < unhealthyThreshold) return { state: 'healthy', failures }
      return { state: 'unhealthy', successes: 0, since: now, fault }
    }
    case 'unhealthy': {
      if (fault !== undefined) return health.successes === 0 ? health : { ...health, successes: 0 }
      const successes = health.successes + 1
      return successes < healthyThreshold ? { ...health, successes } : HEALTHY
    }
  }
}

/** What is asked of an upstream's targets, what was learned of them, and when the next round is due. Plain data: it is stored. */
export interface HealthPlan {
  readonly settings: HealthSettings
  /** What is known of each target, by its label. */
  readonly targets: Readonly<Record<string, Health>>
  /** When isolates last asked for checks, give or take `HEARD_STEP_MS`; all times in epoch milliseconds. */
  readonly heardAt: number
  /** When the last round began. */
  readonly startedAt: number
  /** When the next one is to begin; `NEVER` while the upstream is unused. */
  readonly dueAt: number
}

/** As `startedAt`, no round has begun yet; as `dueAt`, none is to begin, and no alarm is set. */
export const NEVER_CHECKED = -Infinity

/** The least time between two rounds, however often the settings change. */
const LEAST_PAUSE_MS = 1_000
/** Which part of the interval is left to chance, so that upstreams do not keep step. */
const JITTER = 0.2
/** After so long without a report, or three intervals if that is longer, an upstream is unused. */
const UNUSED_MS = 60_000
/** Not each report is worth a write. */
const HEARD_STEP_MS = 10_000

/**
 * An isolate reports. New settings take effect at once; a target that is new is trusted, one that is gone is forgotten.
 * The same object when there is nothing to remember.
 */
export function applyCheckResult(plan: HealthPlan | undefined, settings: HealthSettings, now: number): HealthPlan {
  if (plan && isSame(plan.settings, settings) && isComing(plan, now))
    return Math.abs(now - plan.heardAt) < HEARD_STEP_MS ? plan : { ...plan, heardAt: now }
  const startedAt = plan?.startedAt ?? NEVER_CHECKED
  const targets = Object.keys(settings.targets).map((label) => [label, plan?.targets[label] ?? HEALTHY] as const)
  // While one deployment replaces another, settings change to and fro with each report.
  const dueAt = now + remaining({ since: startedAt, ms: LEAST_PAUSE_MS }, now)
  return { settings, targets: Object.fromEntries(targets), heardAt: now, startedAt, dueAt }
}

/** A round begins, and the next one is due an interval later or up to a fifth sooner. `random` is uniform in [0, 1). */
export function beginCheck(plan: HealthPlan, now: number, random: number): HealthPlan {
  const { interval } = plan.settings
  const isUnused = remaining({ since: plan.heardAt, ms: Math.max(UNUSED_MS, 3 * interval) }, now) === 0
  if (isUnused) return { ...plan, dueAt: NEVER_CHECKED }
  return { ...plan, startedAt: now, dueAt: now + Math.round(interval * (1 - JITTER * random)) }
}

/** What was asked at `url` for a target is known. The same object when that is nothing new. */
export function updatePlan(
  plan: HealthPlan,
  label: string,
  url: string,
  fault: CheckFailure | undefined,
  now: number,
): HealthPlan {
  const health = plan.targets[label]
  // It may have been removed meanwhile, or is asked elsewhere by now.
  if (health === undefined || plan.settings.targets[label] !== url) return plan
  const next = judgeHealth(health, fault, plan.settings, now)
  return next === health ? plan : { ...plan, targets: { ...plan.targets, [label]: next } }
}

function isSame(a: HealthSettings, b: HealthSettings): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** Not when its time has passed, since then its alarm was lost, nor when it is far off, since then the clock was put back. */
function isComing({ dueAt, settings }: HealthPlan, now: number): boolean {
  return dueAt > now - LEAST_PAUSE_MS && dueAt <= now + settings.interval
}
