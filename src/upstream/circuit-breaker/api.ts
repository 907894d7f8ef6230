import type { Region } from '../../core/region.ts'
import type { Health } from '../health/health.ts'
import type { BreakerReport, BreakerUpdate } from './breaker-report.ts'
import type { CallCounters } from './breaker-state.ts'
import type { ForcedState, OperatorOrder, RegionReport, BreakerStatus, GlobalUpdate } from './global-state.ts'

/** The remote calls of the Durable Object `CircuitBreaker`. */
export interface BreakerApi {
  report(protocol: number, report: BreakerReport): Promise<BreakerUpdate | undefined>
  receive(protocol: number, news: GlobalUpdate): Promise<boolean>
  inspect(): Promise<BreakerView>
}

/** The remote calls of the Durable Object that holds the state which the regions of an upstream share. */
export interface GlobalUpstreamApi {
  report(protocol: number, report: RegionReport): Promise<GlobalUpdate | undefined>
  inspect(): Promise<GlobalStateView>
  order(order: OperatorOrder): Promise<GlobalStateView>
}

/** What is known of an upstream in one region. */
export interface BreakerView {
  readonly forced: ForcedState
  /** This region's own circuit, whatever is forced or open everywhere. */
  readonly own: BreakerStatus
  /** What that circuit had counted in its window with its last call, while it is closed. */
  readonly counted: CallCounters
  /** Whether it is open because most regions are. */
  readonly openEverywhere: boolean
  readonly drained: readonly string[]
  /** Targets that are checked, by label. */
  readonly health: Readonly<Record<string, Health>>
  /** Whether the world's object was out of reach the last time, so that this region decides alone; and how often it was since this object started. */
  readonly alone: boolean
  readonly timesAlone: number
}

/** What is known of an upstream in the whole world. Durations in milliseconds. */
export interface GlobalStateView {
  /** What an operator forced the breaker to be. */
  readonly forced: ForcedState
  /** The circuit that all regions share while most of them are open; `closed` while each decides for itself. */
  readonly everywhere: BreakerStatus
  /** The labels of drained targets, sorted. */
  readonly drained: readonly string[]
  /** How many probe leases are out. */
  readonly leases: number
  /** By name. */
  readonly regions: readonly RegionView[]
}

/** What a region said of its own circuit when it was heard last. */
export interface RegionView extends BreakerStatus {
  readonly region: Region
  readonly heardMsAgo: number
  /** Whether it was heard within the window, so that it counts. */
  readonly active: boolean
}
