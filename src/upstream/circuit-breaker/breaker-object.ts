import { DurableObject } from 'cloudflare:workers'
import { callObject } from '../../core/durable-object.ts'
import { distance } from '../../lib/time.ts'
import { logEvent, observeObjects, type EventName } from '../../telemetry/events.ts'
import { logLevelOf, logObjectError } from '../../telemetry/object-errors.ts'
import { makeHealthChecks } from '../health/health-checks.ts'
import {
  GLOBAL_PROTOCOL,
  type BreakerView,
  type GlobalUpdate,
  type GlobalUpstreamApi,
  type RegionReport,
} from './api.ts'
import { BREAKER_PROTOCOL, type BreakerReport, type BreakerUpdate } from './breaker-report.ts'
import { statusOf, sumCounters, type BreakerSettings } from './breaker-state.ts'
import {
  applyBreakerReport,
  applyGlobalUpdate,
  holdsLease,
  mayProbeGlobally,
  mustStoreRegional,
  NEW_REGIONAL_STATE,
  regionalUpdateOf,
  releaseLease,
  reserveLease,
  withoutGlobalState,
  type RegionalState,
} from './regional-state.ts'

type RegionChanges = Pick<RegionReport, 'wants' | 'leaseMs' | 'spent' | 'probes'>

const KEY = 'regional-v1'
/** The timeout of a report to the global state, in milliseconds; shorter than the timeout of an isolate's report. */
const GLOBAL_TIMEOUT_MS = 400
/** The interval of reports to the global state while nothing changes, in milliseconds. */
const REPORT_INTERVAL_MS = 1_000

/** Holds the breaker of one upstream and the health of its targets for all isolates of one region. `report`, `receive` and `inspect` never throw. */
export class CircuitBreaker extends DurableObject {
  /** Epoch milliseconds; tests replace it. */
  now: () => number = Date.now
  // Stored at transitions alone: an open breaker is still open after a crash. The counters of a closed breaker are not worth a
  // write for each report.
  #region: RegionalState = this.ctx.storage.kv.get<RegionalState>(KEY) ?? NEW_REGIONAL_STATE
  #checks = makeHealthChecks(
    this.ctx.storage,
    { now: () => this.now(), random: Math.random, fetch: (url, init) => fetch(url, init) },
    {
      onError: (method, error) => logObjectError('CircuitBreaker', `health.${method}`, error, this.env),
      onChange: (target, { state }) => this.#log(`target-${state}`, { target }),
    },
  )
  #globalUpstreams = observeObjects(
    'GlobalUpstreamState',
    { getByName: (name): GlobalUpstreamApi => this.env.GLOBAL_UPSTREAMS.getByName(name) },
    logLevelOf(this.env),
    true,
  )
  #place: Pick<BreakerReport, 'upstream' | 'region'> | undefined
  #settings: BreakerReport['settings']
  #reportedAt = -Infinity
  #alone = false
  #timesAlone = 0

  /**
   * Applies an isolate's report and returns its update, with a lease if the isolate wants one and one is free. It waits for the global
   * state only where a probe is concerned, and not while that is unreachable. Undefined when it fails: then the isolate decides alone.
   */
  async report(protocol: number, report: BreakerReport): Promise<BreakerUpdate | undefined> {
    try {
      if (protocol !== BREAKER_PROTOCOL) return undefined
      this.#place = { upstream: report.upstream, region: report.region }
      this.#settings = report.settings
      this.#checks.configure(report.health)
      return { ...(await this.#decide(report)), targets: this.#targets(report) }
    } catch (error) {
      logObjectError('CircuitBreaker', 'report', error, this.env)
      return undefined
    }
  }

  /** Applies an update of the global state; false when that fails. */
  receive(protocol: number, update: GlobalUpdate): boolean {
    if (protocol !== GLOBAL_PROTOCOL) return false
    try {
      this.#setRegion(applyGlobalUpdate(this.#region, update, this.now()))
      return true
    } catch (error) {
      logObjectError('CircuitBreaker', 'receive', error, this.env)
      return false
    }
  }

  inspect(): BreakerView {
    const { own, forced, drained, everywhere } = this.#region
    return {
      forced,
      own: statusOf(own, this.now()),
      counted: sumCounters(own.state === 'closed' ? own.slots : []),
      openEverywhere: everywhere !== undefined,
      drained,
      health: this.#checks.inspect(),
      alone: this.#alone,
      timesAlone: this.#timesAlone,
    }
  }

  override async alarm(): Promise<void> {
    await this.#checks.alarm()
  }

  async #decide(report: BreakerReport): Promise<BreakerUpdate> {
    const { state } = this.#region.own
    const { settings, spent, probes, leaseMs } = report
    this.#setRegion(applyBreakerReport(this.#region, report, this.now()))
    const lease = crypto.randomUUID()
    const wants = settings !== undefined && report.wantsLease && this.#reserve(lease, settings, leaseMs)
    const changes: RegionChanges = {
      spent,
      probes,
      ...(wants && { wants: lease }),
      ...(leaseMs !== undefined && { leaseMs }),
    }
    const due = distance(this.now(), this.#reportedAt) >= REPORT_INTERVAL_MS
    let granted: string | undefined
    if ((wants || probes.length > 0) && !this.#alone) {
      const update = await this.#reportRegion(changes)
      if (update?.granted) granted = lease
      if (wants && settings) this.#settleReservation(lease, settings, leaseMs, update)
    } else if (due || spent.length > 0 || probes.length > 0 || state !== this.#region.own.state) {
      this.ctx.waitUntil(this.#reportRegion(changes))
    }
    return regionalUpdateOf(this.#region, settings, { reserved: lease, granted }, this.now())
  }

  /** Whether this lease may be granted if the global state agrees. It is reserved meanwhile, so that it is requested once. */
  #reserve(lease: string, settings: BreakerSettings, ms: number | undefined): boolean {
    const now = this.now()
    this.#setRegion(reserveLease(this.#region, lease, settings, now, ms))
    return holdsLease(this.#region, lease) || mayProbeGlobally(this.#region, now)
  }

  /** Releases the reserved lease when the global state refused it. Where that is unreachable, the region grants the lease itself. */
  #settleReservation(
    lease: string,
    settings: BreakerSettings,
    ms: number | undefined,
    update: GlobalUpdate | undefined,
  ): void {
    const now = this.now()
    if (update === undefined)
      this.#setRegion(
        holdsLease(this.#region, lease) ? this.#region : reserveLease(this.#region, lease, settings, now, ms),
      )
    else if (!update.granted) this.#setRegion(releaseLease(this.#region, lease, settings, now))
  }

  /** Reports this region to the global state, and applies the update. */
  async #reportRegion(changes: RegionChanges): Promise<GlobalUpdate | undefined> {
    if (this.#place === undefined) return undefined
    const { upstream, region } = this.#place
    const now = this.now()
    this.#reportedAt = now
    const { own, closing } = this.#region
    const report = { upstream, region, own: statusOf(own, now), closing, settings: this.#settings, ...changes }
    const update = await callObject(this.#globalUpstreams, upstream, GLOBAL_TIMEOUT_MS, (object) =>
      object.report(GLOBAL_PROTOCOL, report),
    )
    this.#alone = update === undefined
    if (update === undefined) {
      this.#timesAlone++
      this.#setRegion(withoutGlobalState(this.#region))
    } else this.#setRegion(applyGlobalUpdate(this.#region, update, this.now()))
    return update
  }

  #setRegion(next: RegionalState): void {
    const before = this.#region.own.state
    if (mustStoreRegional(this.#region, next)) this.ctx.storage.kv.put(KEY, next)
    this.#region = next
    const { own } = next
    if (own.state === before) return
    this.#log(`breaker-${own.state}`, own.state === 'open' ? { forMs: own.ms, openings: own.openings } : {})
  }

  #log(event: EventName, fields: object): void {
    logEvent(event, { ...this.#place, ...fields }, logLevelOf(this.env), this.now())
  }

  #targets({ health }: BreakerReport): NonNullable<BreakerUpdate['targets']> {
    const unhealthy = health ? this.#checks.unhealthy() : []
    return Object.fromEntries([
      ...unhealthy.map((label) => [label, 'unhealthy'] as const),
      ...this.#region.drained.map((label) => [label, 'drained'] as const),
    ])
  }
}
