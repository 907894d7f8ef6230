import type { Region } from '../../core/region.ts'
import type { Health } from '../health/health.ts'
import type { Report, Verdict } from './breaker-report.ts'
import type { Tally } from './breaker-state.ts'
import type { Forced, Order, RegionReport, Standing, WorldNews } from './global-state.ts'

/** The remote calls of the Durable Object `CircuitBreaker`. */
export interface BreakerApi {
  report(protocol: number, report: Report): Promise<Verdict | undefined>
  learn(protocol: number, news: WorldNews): Promise<boolean>
  inspect(): Promise<BreakerView>
}

/** The remote calls of the Durable Object that holds the state which the regions of an upstream share. */
export interface GlobalUpstreamApi {
  tell(protocol: number, report: RegionReport): Promise<WorldNews | undefined>
  inspect(): Promise<WorldView>
  steer(order: Order): Promise<WorldView>
}

/** What is known of an upstream in one region. */
export interface BreakerView {
  readonly forced: Forced
  /** This region's own circuit, whatever is forced or open everywhere. */
  readonly own: Standing
  /** What that circuit had counted in its window with its last call, while it is closed. */
  readonly counted: Tally
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
export interface WorldView {
  /** What an operator forced the breaker to be. */
  readonly forced: Forced
  /** The circuit that all regions share while most of them are open; `closed` while each decides for itself. */
  readonly everywhere: Standing
  /** The labels of drained targets, sorted. */
  readonly drained: readonly string[]
  /** How many probe leases are out. */
  readonly leases: number
  /** By name. */
  readonly regions: readonly RegionView[]
}

/** What a region said of its own circuit when it was heard last. */
export interface RegionView extends Standing {
  readonly region: Region
  readonly heardMsAgo: number
  /** Whether it was heard within the window, so that it counts. */
  readonly active: boolean
}
