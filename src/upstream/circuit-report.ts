import {
  count,
  extend,
  lease,
  settle,
  type Circuit,
  type CircuitSettings,
  type ProbeResult,
  type Tally,
} from './circuit.ts'
import { leftOf } from './term.ts'

/** The version of `Report` and `Verdict`; isolates and objects of two deployments meet while one replaces the other. */
export const PROTOCOL = 1

/** What an isolate tells the keeper of a circuit. The thresholds travel with it: isolates own the configuration. */
export interface Report {
  readonly settings: CircuitSettings
  /** Calls since the last report. */
  readonly tally: Tally
  /** A lease that a request has just taken, and how long that may last, in milliseconds. */
  readonly spent?: { readonly lease: string; readonly ms: number }
  readonly probe?: { readonly lease: string; readonly result: ProbeResult }
  readonly wantsLease?: boolean
}

/** What the isolate learns. Durations, not times: the two clocks differ. */
export type Verdict =
  { readonly state: 'closed' } | { readonly state: 'open'; readonly forMs: number; readonly lease?: string }

/** Applies a report to a circuit. The Durable Object and, while that is out of reach, each isolate run this same function. */
export function hear(circuit: Circuit, report: Report, leaseId: string, now: number): [Circuit, Verdict] {
  const { settings, tally, spent, probe, wantsLease } = report
  let next = count(circuit, tally, settings, now)
  if (spent) next = extend(next, spent.lease, spent.ms, now)
  if (probe) next = settle(next, probe.lease, probe.result, settings, now)
  if (wantsLease) next = lease(next, leaseId, settings, now)
  return [next, verdict(next, settings, leaseId, now)]
}

function verdict(circuit: Circuit, settings: CircuitSettings, leaseId: string, now: number): Verdict {
  switch (circuit.state) {
    case 'closed':
      return { state: 'closed' }
    case 'open':
      // Clamped, since the configuration may have changed after it opened.
      return { state: 'open', forMs: Math.min(leftOf(circuit, now), settings.maxOpenDuration) }
    case 'half-open': {
      const given = circuit.leases.some((held) => held.id === leaseId)
      return given ? { state: 'open', forMs: 0, lease: leaseId } : { state: 'open', forMs: 0 }
    }
  }
}
