import type { Region } from '../../core/region.ts'
import {
  countCalls,
  extendLease,
  grantLease,
  settleLease,
  type BreakerState,
  type BreakerSettings,
  type ProbeResult,
  type CallCounters,
} from './breaker-state.ts'
import type { HealthSettings } from '../health/health.ts'
import type { TargetCondition } from '../target.ts'
import { remaining } from '../../lib/time.ts'

/** The version of `Report` and `Verdict`; isolates and objects of two deployments meet while one replaces the other. */
export const BREAKER_PROTOCOL = 1

/** A lease that a request has just taken, and how long that may last, in milliseconds. */
export interface SpentLease {
  readonly lease: string
  readonly ms: number
}

/** What the request that held a lease found. */
export interface ProbeReport {
  readonly lease: string
  readonly result: ProbeResult
}

/** What an isolate tells the keeper of a circuit. The settings travel with it: isolates own the configuration. */
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
  /** How long the lease is to be kept unspent, in milliseconds; absent for `LEASE_MS`. */
  readonly leaseMs?: number
  /** Undefined for an upstream whose targets are not checked. */
  readonly health: HealthSettings | undefined
}

/** What the isolate learns. Durations, not times: the two clocks differ. */
export type BreakerUpdate = (
  { readonly state: 'closed' } | { readonly state: 'open'; readonly forMs: number; readonly lease?: string }
) & {
  /** An operator said so. */
  readonly forced?: true
  /** By label, those that are not `ok`. Absent when whoever answers cannot know. */
  readonly targets?: Readonly<Record<string, Exclude<TargetCondition, 'ok'>>>
}

/** What calls and probes say of a circuit. */
export function applyCounts(
  circuit: BreakerState,
  { settings, counters, spent, probes }: Pick<BreakerReport, 'settings' | 'counters' | 'spent' | 'probes'>,
  now: number,
): BreakerState {
  if (settings === undefined) return circuit
  let next = countCalls(circuit, counters, settings, now)
  for (const { lease, ms } of spent) next = extendLease(next, lease, ms, now)
  for (const { lease, result } of probes) next = settleLease(next, lease, result, settings, now)
  return next
}

/** Applies a report to a circuit that stands alone: the one that an isolate keeps while its object is out of reach. */
export function applyReport(
  circuit: BreakerState,
  report: BreakerReport,
  leaseId: string,
  now: number,
): [BreakerState, BreakerUpdate] {
  const { settings, wantsLease, leaseMs } = report
  const heard = applyCounts(circuit, report, now)
  const next = wantsLease && settings ? grantLease(heard, leaseId, settings, now, leaseMs) : heard
  return [next, updateOf(next, settings, leaseId, now)]
}

/** What an isolate that asked for the lease `leaseId` is told of a circuit. */
export function updateOf(
  circuit: BreakerState,
  settings: BreakerSettings | undefined,
  leaseId: string,
  now: number,
): BreakerUpdate {
  // A circuit may be left from when there was a breaker.
  if (circuit.state === 'closed' || settings === undefined) return { state: 'closed' }
  // Clamped, since the configuration may have changed after it opened.
  if (circuit.state === 'open')
    return { state: 'open', forMs: Math.min(remaining(circuit, now), settings.maxOpenDuration) }
  const given = circuit.leases.some((held) => held.id === leaseId)
  return given ? { state: 'open', forMs: 0, lease: leaseId } : { state: 'open', forMs: 0 }
}
