import type { Region } from '../../core/region.ts'
import type { Health } from '../health/health.ts'
import type { BreakerReport, BreakerUpdate } from './breaker-report.ts'
import type { CallCounters } from './breaker-state.ts'
import type { ForcedState, OperatorOrder, RegionReport, BreakerStatus, GlobalUpdate } from './global-state.ts'

/** The remote calls of the Durable Object `CircuitBreaker`. */
export interface BreakerApi {
  report(protocol: number, report: BreakerReport): Promise<BreakerUpdate | undefined>
  receive(protocol: number, update: GlobalUpdate): Promise<boolean>
  inspect(): Promise<BreakerView>
}

/** The remote calls of the Durable Object that holds the state which the regions of an upstream share. */
export interface GlobalUpstreamApi {
  report(protocol: number, report: RegionReport): Promise<GlobalUpdate | undefined>
  inspect(): Promise<GlobalStateView>
  order(order: OperatorOrder): Promise<GlobalStateView>
}

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
  /** Whether the global state was unreachable for the last report, so that this region decides alone; and how often since this object started. */
  readonly alone: boolean
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
  readonly heardMsAgo: number
  /** Whether the region has reported within its window, so that it counts. */
  readonly active: boolean
}
