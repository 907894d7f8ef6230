import { distance, remaining } from '../../lib/time.ts'
import type { Target } from '../target.ts'
import type { HealthCheckConfig } from './config.ts'

/** The health check of an upstream, as isolates report it to the breaker object. Durations in milliseconds. */
export interface HealthSettings extends Omit<HealthCheckConfig, 'path'> {
  /** The URL of each target's check, by the target's label. */
  readonly targets: Readonly<Record<string, string>>
}

/** Why a check failed: `status 503`, `timeout`, `unreachable`. */
export type CheckFailure = string

/** The health of a target, and how many checks in a row contradict it. Plain data, because it is stored. */
export type Health =
  | { readonly state: 'healthy'; readonly failures: number }
  | {
      readonly state: 'unhealthy'
      readonly successes: number
      /** When the target became unhealthy, in epoch milliseconds. */
      readonly since: number
      /** Why it became unhealthy. */
      readonly fault: CheckFailure
    }

/** The health of a new target: healthy, because otherwise it would receive no requests until its first check. */
export const HEALTHY: Health = { state: 'healthy', failures: 0 }

/** The settings that isolates report for an upstream with this `healthCheck`. */
export function healthSettings(config: HealthCheckConfig, targets: readonly Target[]): HealthSettings {
  const { path, ...rest } = config
  return { ...rest, targets: Object.fromEntries(targets.map(({ label, base }) => [label, base + path])) }
}

/** Applies the result of one check; the state changes after a threshold of contrary results in a row. Returns the same object when nothing changes. */
export function judgeHealth(
  health: Health,
  failure: CheckFailure | undefined,
  { unhealthyThreshold, healthyThreshold }: Pick<HealthSettings, 'unhealthyThreshold' | 'healthyThreshold'>,
  now: number,
): Health {
  switch (health.state) {
    case 'healthy': {
      if (failure === undefined) return health.failures === 0 ? health : HEALTHY
      const failures = health.failures + 1
      if (failures < unhealthyThreshold) return { state: 'healthy', failures }
      return { state: 'unhealthy', successes: 0, since: now, fault: failure }
    }
    case 'unhealthy': {
      if (failure !== undefined) return health.successes === 0 ? health : { ...health, successes: 0 }
      const successes = health.successes + 1
      return successes < healthyThreshold ? { ...health, successes } : HEALTHY
    }
  }
}

/** The checks of an upstream: their settings, the health of the targets, and the schedule, in epoch milliseconds. Plain data, because it is stored. */
export interface HealthCheckState {
  readonly settings: HealthSettings
  /** By the targets' labels. */
  readonly targets: Readonly<Record<string, Health>>
  /** The last report of an isolate, accurate to `REPORTED_STEP_MS`. */
  readonly reportedAt: number
  /** The start of the last round; `NO_ROUND` before the first. */
  readonly startedAt: number
  /** The start of the next round; `NO_ROUND` while the upstream is unused. */
  readonly dueAt: number
}

/** In place of the time of a round: there was none, or none is due and no alarm is set. */
export const NO_ROUND = -Infinity

/** The least time between two rounds, in milliseconds, however often the settings change. */
const MIN_PAUSE_MS = 1_000
/** The share of the interval that is random, so that the rounds of many upstreams spread. */
const JITTER = 0.2
/** An upstream is unused when nothing was reported for so long, in milliseconds, or for three intervals if that is longer. */
const UNUSED_MS = 60_000
/** The accuracy of `reportedAt`, in milliseconds: a write for each report would cost too much. */
const REPORTED_STEP_MS = 10_000

/**
 * Applies the settings of an isolate's report at once. A new target is healthy, a removed one is forgotten. Returns the same object
 * when there is nothing to store.
 */
export function configureChecks(
  checks: HealthCheckState | undefined,
  settings: HealthSettings,
  now: number,
): HealthCheckState {
  if (checks && isSame(checks.settings, settings) && isScheduled(checks, now))
    return distance(now, checks.reportedAt) < REPORTED_STEP_MS ? checks : { ...checks, reportedAt: now }
  const startedAt = checks?.startedAt ?? NO_ROUND
  const targets = Object.keys(settings.targets).map((label) => [label, checks?.targets[label] ?? HEALTHY] as const)
  // During a roll-out the settings alternate between those of two deployments with each report; the pause bounds the rounds.
  const dueAt = now + remaining({ since: startedAt, ms: MIN_PAUSE_MS }, now)
  return { settings, targets: Object.fromEntries(targets), reportedAt: now, startedAt, dueAt }
}

/** Starts a round; the next is due after the interval or up to a fifth sooner. `random` is uniform in [0, 1). */
export function startRound(checks: HealthCheckState, now: number, random: number): HealthCheckState {
  const { interval } = checks.settings
  const isUnused = remaining({ since: checks.reportedAt, ms: Math.max(UNUSED_MS, 3 * interval) }, now) === 0
  if (isUnused) return { ...checks, dueAt: NO_ROUND }
  return { ...checks, startedAt: now, dueAt: now + Math.round(interval * (1 - JITTER * random)) }
}

/** Applies the result of the check of a target at `url`. Returns the same object when nothing changes. */
export function recordCheck(
  checks: HealthCheckState,
  label: string,
  url: string,
  failure: CheckFailure | undefined,
  now: number,
): HealthCheckState {
  const health = checks.targets[label]
  // The target may have been removed during the check, or its URL changed.
  if (health === undefined || checks.settings.targets[label] !== url) return checks
  const next = judgeHealth(health, failure, checks.settings, now)
  return next === health ? checks : { ...checks, targets: { ...checks.targets, [label]: next } }
}

function isSame(a: HealthSettings, b: HealthSettings): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** False when the round is overdue, because its alarm was lost; and when it is more than an interval away, because the clock was set back. */
function isScheduled({ dueAt, settings }: HealthCheckState, now: number): boolean {
  return dueAt > now - MIN_PAUSE_MS && dueAt <= now + settings.interval
}
