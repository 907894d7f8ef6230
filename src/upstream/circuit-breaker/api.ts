import type { Region } from '../../core/region.ts'
import type { Health } from '../health/health.ts'
import type { BreakerReport, BreakerUpdate, ProbeReport, SpentLease } from './breaker-report.ts'
import type { BreakerSettings, BreakerStatus, CallCounters } from './breaker-state.ts'

/** The remote calls of `CircuitBreaker`, the Durable Object of an upstream in one region. */
export interface BreakerApi {
  report(protocol: number, report: BreakerReport): Promise<BreakerUpdate | undefined>
  receive(protocol: number, update: GlobalUpdate): Promise<boolean>
  inspect(): Promise<BreakerView>
}

/** The remote calls of `GlobalUpstreamState`, the Durable Object of an upstream. */
export interface GlobalUpstreamApi {
  report(protocol: number, report: RegionReport): Promise<GlobalUpdate | undefined>
  inspect(): Promise<GlobalStateView>
  order(order: OperatorOrder): Promise<GlobalStateView>
}

/** The version of `RegionReport` and `GlobalUpdate`: objects of two deployments meet during a roll-out. */
export const GLOBAL_PROTOCOL = 1

/** What the breaker object of a region reports to the global state. */
export interface RegionReport {
  readonly upstream: string
  readonly region: Region
  readonly own: BreakerStatus
  /** The last `GlobalUpdate.closing` that the region received: `own` is older than any later closing. */
  readonly closing: number
  readonly settings: BreakerSettings | undefined
  /** The id of the lease that the region wants to grant. */
  readonly wants?: string
  /** How long the unspent lease is kept, in milliseconds; `PROBE_LEASE_MS` when absent. */
  readonly leaseMs?: number
  readonly spent?: readonly SpentLease[]
  readonly probes?: readonly ProbeReport[]
}

/** What the region receives in return, and after each change. */
export interface GlobalUpdate {
  /** The revision: larger with each change, also after a loss of storage. */
  readonly rev: number
  readonly forced: ForcedState
  readonly drained: readonly string[]
  /** Present while most regions are open; absent while each decides for itself. */
  readonly everywhere?: Pick<BreakerStatus, 'forMs' | 'openings'>
  /** The `rev` at which the breakers of all regions were last closed, by a probe or by an operator. */
  readonly closing: number
  /** Whether the wanted lease may be granted. */
  readonly granted?: boolean
}

/** The state that an operator forces; null lets the breaker decide. */
export type ForcedState = 'open' | 'closed' | null

/** A change by an operator. Targets are named by their labels; `force: null` lets the breaker decide again. */
export type OperatorOrder = { readonly force: ForcedState } | { readonly drain: string } | { readonly restore: string }

/** An upstream in one region, for operators. */
export interface BreakerView {
  readonly forced: ForcedState
  /** This region's own breaker, without regard to forced states and other regions. */
  readonly own: BreakerStatus
  /** The counters of that breaker's window at its last call, while it is closed. */
  readonly counted: CallCounters
  /** Whether the breaker is open because most regions are. */
  readonly openEverywhere: boolean
  readonly drained: readonly string[]
  /** The health of checked targets, by label. */
  readonly health: Readonly<Record<string, Health>>
  /** Whether the global state was unreachable for the last report, so that this region decides alone. */
  readonly alone: boolean
  /** How often it was unreachable since this object started. */
  readonly timesAlone: number
}

/** The state that the regions of an upstream share, for operators. Durations in milliseconds. */
export interface GlobalStateView {
  /** The state that an operator forces. */
  readonly forced: ForcedState
  /** The breaker that all regions share while most of them are open; `closed` while each decides for itself. */
  readonly everywhere: BreakerStatus
  /** The labels of drained targets, sorted. */
  readonly drained: readonly string[]
  /** The number of probe leases that are out. */
  readonly leases: number
  /** By name. */
  readonly regions: readonly RegionView[]
}

/** The last report of a region. */
export interface RegionView extends BreakerStatus {
  readonly region: Region
  /** The age of the report, in milliseconds. */
  readonly heardMsAgo: number
  /** Whether the region has reported within its window, so that it counts. */
  readonly active: boolean
}
