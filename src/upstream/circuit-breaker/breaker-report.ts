import type { Region } from '../../core/region.ts'
import { remaining } from '../../lib/time.ts'
import type { HealthSettings } from '../health/health.ts'
import type { TargetCondition } from '../target.ts'
import {
  countCalls,
  extendLease,
  grantLease,
  settleLease,
  type BreakerSettings,
  type BreakerState,
  type CallCounters,
  type ProbeResult,
} from './breaker-state.ts'

/** The version of `BreakerReport` and `BreakerUpdate`: isolates and objects of two deployments meet during a roll-out. */
export const BREAKER_PROTOCOL = 1

/** A lease that a request has spent, and how long that request may take, in milliseconds. */
export interface SpentLease {
  readonly lease: string
  readonly ms: number
}

/** The result of the request that spent a lease. */
export interface ProbeReport {
  readonly lease: string
  readonly result: ProbeResult
}

/** What an isolate reports to a breaker object. It carries the settings, because the isolates have the configuration. */
export interface BreakerReport {
  readonly upstream: string
  readonly region: Region
  /** Undefined for an upstream without a breaker. */
  readonly settings: BreakerSettings | undefined
  /** Calls since the last report. */
  readonly counters: CallCounters
  readonly spent: readonly SpentLease[]
  readonly probes: readonly ProbeReport[]
  readonly wantsLease: boolean
  /** How long an unspent lease is kept for this isolate, in milliseconds; `PROBE_LEASE_MS` when absent. */
  readonly leaseMs?: number
  /** Undefined for an upstream whose targets are not checked. */
  readonly health: HealthSettings | undefined
}

/** What an isolate receives. Durations, not times, because the two clocks differ. */
export type BreakerUpdate = (
  { readonly state: 'closed' } | { readonly state: 'open'; readonly forMs: number; readonly lease?: string }
) & {
  /** An operator forced the state. */
  readonly forced?: true
  /** The conditions by label, of targets that are not `ok`. Absent when the sender does not know them. */
  readonly targets?: Readonly<Record<string, Exclude<TargetCondition, 'ok'>>>
}

/** Applies the calls, spent leases and probe results of a report. */
export function applyCounts(
  breaker: BreakerState,
  { settings, counters, spent, probes }: Pick<BreakerReport, 'settings' | 'counters' | 'spent' | 'probes'>,
  now: number,
): BreakerState {
  if (settings === undefined) return breaker
  let next = countCalls(breaker, counters, settings, now)
  for (const { lease, ms } of spent) next = extendLease(next, lease, ms, now)
  for (const { lease, result } of probes) next = settleLease(next, lease, result, settings, now)
  return next
}

/** Applies a report to a local breaker, which an isolate has while its object is unreachable; `leaseId` is granted if one is wanted and free. */
export function applyLocalReport(
  breaker: BreakerState,
  report: BreakerReport,
  leaseId: string,
  now: number,
): [BreakerState, BreakerUpdate] {
  const { settings, wantsLease, leaseMs } = report
  const counted = applyCounts(breaker, report, now)
  const next = wantsLease && settings ? grantLease(counted, leaseId, settings, now, leaseMs) : counted
  return [next, updateOf(next, settings, leaseId, now)]
}

/** The update for an isolate that wants the lease `leaseId`. */
export function updateOf(
  breaker: BreakerState,
  settings: BreakerSettings | undefined,
  leaseId: string,
  now: number,
): BreakerUpdate {
  // Without settings the configuration has no breaker now; the state is of an earlier deployment.
  if (breaker.state === 'closed' || settings === undefined) return { state: 'closed' }
  // Clamped, since the configuration may have changed after it opened.
  if (breaker.state === 'open')
    return { state: 'open', forMs: Math.min(remaining(breaker, now), settings.maxOpenDuration) }
  const granted = breaker.leases.some((lease) => lease.id === leaseId)
  return granted ? { state: 'open', forMs: 0, lease: leaseId } : { state: 'open', forMs: 0 }
}
