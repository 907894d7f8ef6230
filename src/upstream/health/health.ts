import type { HealthCheckConfig } from './config.ts'
import type { Target } from '../target.ts'

/** What an isolate wants to have asked. Durations in milliseconds. */
export interface HealthSettings extends Omit<HealthCheckConfig, 'path'> {
  /** The URL of each target's check, by the target's label. */
  readonly targets: Readonly<Record<string, string>>
}

/** Why a check failed: `status 503`, `timeout`, `unreachable`. */
export type Fault = string

/** What the checks say of a target, and how far the last of them point the other way. Plain data: it is stored. */
export type Health =
  | { readonly state: 'healthy'; readonly failures: number }
  | {
      readonly state: 'unhealthy'
      readonly successes: number
      /** When and why it became so; epoch milliseconds. */
      readonly since: number
      readonly fault: Fault
    }

/** Trusted until its checks say otherwise: a new target would else get nothing until it was asked. */
export const HEALTHY: Health = { state: 'healthy', failures: 0 }

/** What the objects of an upstream with this `healthCheck` are to ask. */
export function healthSettings(config: HealthCheckConfig, targets: readonly Target[]): HealthSettings {
  const { path, ...rest } = config
  return { ...rest, targets: Object.fromEntries(targets.map(({ label, base }) => [label, base + path])) }
}

/** Counts one more check; only as many alike in a row as the threshold says change the state. The same object when nothing changes. */
export function judge(
  health: Health,
  fault: Fault | undefined,
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
