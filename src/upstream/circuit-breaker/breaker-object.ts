import { DurableObject } from 'cloudflare:workers'
import { withTimeout } from '../../lib/time.ts'
import type { BreakerView } from './api.ts'
import { BREAKER_PROTOCOL, type BreakerReport, type BreakerUpdate } from './breaker-report.ts'
import { sumCounters } from './breaker-state.ts'
import {
  holdsLease,
  mustStoreRegional,
  applyGlobalUpdate,
  mayProbeGlobally,
  NEW_REGIONAL_STATE,
  regionalUpdateOf,
  releaseLease,
  reserveLease,
  withoutGlobalState,
  statusOf,
  applyBreakerReport,
  type RegionalState,
} from './regional-state.ts'
import { GLOBAL_PROTOCOL, type RegionReport, type GlobalUpdate } from './global-state.ts'
import { makeHealthChecks } from '../health/health-checks.ts'

type News = Pick<RegionReport, 'wants' | 'leaseMs' | 'spent' | 'probes'>

const KEY = 'regional-v1'
/** The world's object's time to answer, in milliseconds; less than an isolate waits for this one. */
const CONSULT_MS = 400
/** How often the world hears of a region in which nothing changes, in milliseconds. */
const TELL_INTERVAL_MS = 1_000

/** Keeps one upstream's circuit and its targets' health for all isolates of one region. `report`, `learn` and `inspect` never throw. */
export class CircuitBreaker extends DurableObject {
  /** Epoch milliseconds; tests replace it. */
  now: () => number = Date.now
  // Stored on transitions alone, so that a process that was killed comes back with an open circuit still open; what a closed
  // one has counted is worth less than a write for each report.
  #region: RegionalState = this.ctx.storage.kv.get<RegionalState>(KEY) ?? NEW_REGIONAL_STATE
  #checks = makeHealthChecks(this.ctx.storage, {
    now: () => this.now(),
    random: Math.random,
    fetch: (url, init) => fetch(url, init),
  })
  #place: Pick<BreakerReport, 'upstream' | 'region'> | undefined
  #settings: BreakerReport['settings']
  #toldAt = -Infinity
  #alone = false
  #timesAlone = 0

  /**
   * Takes an isolate's report and answers with what it has to know, and a lease if one was wanted and is free. It waits for the world's
   * object only with a probe in hand, and not while that is out of reach. Undefined when it cannot say: the isolate then decides alone.
   */
  async report(protocol: number, report: BreakerReport): Promise<BreakerUpdate | undefined> {
    try {
      if (protocol !== BREAKER_PROTOCOL) return undefined
      this.#place = { upstream: report.upstream, region: report.region }
      this.#settings = report.settings
      this.#checks.configure(report.health)
      return { ...(await this.#decide(report)), targets: this.#targets(report) }
    } catch {
      return undefined
    }
  }

  /** Takes news of the world's object; false when it cannot. */
  receive(protocol: number, news: GlobalUpdate): boolean {
    if (protocol !== GLOBAL_PROTOCOL) return false
    try {
      this.#keep(applyGlobalUpdate(this.#region, news, this.now()))
      return true
    } catch {
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
    this.#keep(applyBreakerReport(this.#region, report, this.now()))
    const lease = crypto.randomUUID()
    const wants = settings !== undefined && report.wantsLease && this.#reserve(lease, settings, leaseMs)
    const news: News = { spent, probes, ...(wants && { wants: lease }), ...(leaseMs !== undefined && { leaseMs }) }
    const due = Math.abs(this.now() - this.#toldAt) >= TELL_INTERVAL_MS
    let granted: string | undefined
    if ((wants || probes.length > 0) && !this.#alone) {
      const answer = await this.#tell(news)
      if (answer?.granted) granted = lease
      if (wants && settings) this.#settleReservation(lease, settings, leaseMs, answer)
    } else if (due || spent.length > 0 || probes.length > 0 || state !== this.#region.own.state) {
      this.ctx.waitUntil(this.#tell(news))
    }
    return regionalUpdateOf(this.#region, settings, { reserved: lease, granted }, this.now())
  }

  /** Whether this lease may be given out if the world agrees. Held back meanwhile, so that it is asked for once. */
  #reserve(lease: string, settings: NonNullable<BreakerReport['settings']>, ms: number | undefined): boolean {
    const now = this.now()
    this.#keep(reserveLease(this.#region, lease, settings, now, ms))
    return holdsLease(this.#region, lease) || mayProbeGlobally(this.#region, now)
  }

  #settleReservation(
    lease: string,
    settings: NonNullable<BreakerReport['settings']>,
    ms: number | undefined,
    answer: GlobalUpdate | undefined,
  ): void {
    const now = this.now()
    if (answer === undefined)
      this.#keep(holdsLease(this.#region, lease) ? this.#region : reserveLease(this.#region, lease, settings, now, ms))
    else if (!answer.granted) this.#keep(releaseLease(this.#region, lease, settings, now))
  }

  /** Tells the world of this region, and learns. */
  async #tell(news: News): Promise<GlobalUpdate | undefined> {
    if (this.#place === undefined) return undefined
    const { upstream, region } = this.#place
    const now = this.now()
    this.#toldAt = now
    const { own, closing } = this.#region
    const report = { upstream, region, own: statusOf(own, now), closing, settings: this.#settings, ...news }
    const answer = await withTimeout(CONSULT_MS, async () =>
      this.env.GLOBAL_UPSTREAMS.getByName(upstream).report(GLOBAL_PROTOCOL, report),
    )
    this.#alone = answer === undefined
    if (answer === undefined) {
      this.#timesAlone++
      this.#keep(withoutGlobalState(this.#region))
    } else this.#keep(applyGlobalUpdate(this.#region, answer, this.now()))
    return answer
  }

  #keep(next: RegionalState): void {
    if (mustStoreRegional(this.#region, next)) this.ctx.storage.kv.put(KEY, next)
    this.#region = next
  }

  #targets({ health }: BreakerReport): NonNullable<BreakerUpdate['targets']> {
    const unhealthy = health ? this.#checks.unhealthy() : []
    return Object.fromEntries([
      ...unhealthy.map((label) => [label, 'unhealthy'] as const),
      ...this.#region.drained.map((label) => [label, 'drained'] as const),
    ])
  }
}
