import { DurableObject } from 'cloudflare:workers'
import { callObject } from '../../core/durable-object.ts'
import { breakerName, locationOf, type Region } from '../../core/region.ts'
import { remaining } from '../../lib/time.ts'
import { logEvent, observeObjects, type EventName } from '../../telemetry/events.ts'
import { logLevelOf, logObjectError } from '../../telemetry/object-errors.ts'
import {
  GLOBAL_PROTOCOL,
  type BreakerApi,
  type GlobalStateView,
  type GlobalUpdate,
  type OperatorOrder,
  type RegionReport,
} from './api.ts'
import { statusOf } from './breaker-state.ts'
import {
  applyOrder,
  applyRegionReport,
  globalUpdateOf,
  isActiveRegion,
  mustStoreGlobal,
  NEW_GLOBAL_STATE,
  type GlobalState,
} from './global-state.ts'

const KEY = 'global-v1'
/** The timeout of an update to a region, in milliseconds. A region that misses an update receives it with its next report. */
const UPDATE_TIMEOUT_MS = 500

/** Holds the state that the regions of one upstream share; its name is that of the upstream. `report` and `inspect` never throw. */
export class GlobalUpstreamState extends DurableObject {
  /** Epoch milliseconds; tests replace it. */
  now: () => number = Date.now
  #breakers = observeObjects(
    'CircuitBreaker',
    { getByName: (name, options): BreakerApi => this.env.BREAKERS.getByName(name, options) },
    logLevelOf(this.env),
    true,
  )
  #state: GlobalState = this.ctx.storage.kv.get<GlobalState>(KEY) ?? NEW_GLOBAL_STATE

  /** Applies a region's report and returns its update; undefined when that fails, and then the region decides alone. */
  report(protocol: number, report: RegionReport): GlobalUpdate | undefined {
    if (protocol !== GLOBAL_PROTOCOL) return undefined
    try {
      const [next, update] = applyRegionReport(this.#state, report, this.now())
      const changed = next.rev !== this.#state.rev
      this.#setState(next)
      if (changed) this.ctx.waitUntil(this.#publish(report.region))
      return update
    } catch (error) {
      logObjectError('GlobalUpstreamState', 'report', error, this.env)
      return undefined
    }
  }

  inspect(): GlobalStateView {
    const now = this.now()
    const { forced, breaker, drained, leases, regions } = this.#state
    return {
      forced,
      everywhere: statusOf(breaker, now),
      drained,
      leases: leases.filter((lease) => remaining(lease, now) > 0).length,
      regions: regions
        .map((region) => ({
          region: region.region,
          state: region.state,
          forMs: region.state === 'open' ? remaining(region, now) : 0,
          openings: region.openings,
          heardMsAgo: Math.max(0, now - region.reported.since),
          active: isActiveRegion(region, now),
        }))
        .toSorted((a, b) => a.region.localeCompare(b.region)),
    }
  }

  /** Applies an operator's order and stores it; resolves when the reachable regions have received it. Rejects when it cannot be stored. */
  async order(order: OperatorOrder): Promise<GlobalStateView> {
    const next = applyOrder(this.#state, order, this.now())
    const changed = next !== this.#state
    this.#logOrder(this.#state, next)
    this.#setState(next)
    if (changed) await this.#publish()
    return this.inspect()
  }

  #setState(next: GlobalState): void {
    const before = this.#state.breaker.state
    if (mustStoreGlobal(this.#state, next)) this.ctx.storage.kv.put(KEY, next)
    this.#state = next
    const { breaker } = next
    if (breaker.state === before) return
    const opening = breaker.state === 'open' ? { forMs: breaker.ms, openings: breaker.openings } : {}
    this.#log(`breaker-${breaker.state}`, { region: 'all', ...opening })
  }

  #logOrder(before: GlobalState, after: GlobalState): void {
    if (before.forced !== after.forced) this.#log('breaker-forced', { state: after.forced ?? 'released' })
    const drained = after.drained.filter((target) => !before.drained.includes(target))
    const restored = before.drained.filter((target) => !after.drained.includes(target))
    for (const target of drained) this.#log('target-drained', { target })
    for (const target of restored) this.#log('target-restored', { target })
  }

  #log(event: EventName, fields: object): void {
    logEvent(event, { upstream: this.#state.upstream ?? this.ctx.id.name, ...fields }, logLevelOf(this.env), this.now())
  }

  /** Sends the update to every region except the one that receives it as the result of its report. */
  async #publish(except?: Region): Promise<void> {
    const { upstream, regions } = this.#state
    if (upstream === undefined) return
    const update = globalUpdateOf(this.#state, this.now())
    const others = regions.map(({ region }) => region).filter((region) => region !== except)
    await Promise.all(
      others.map((region) =>
        callObject(
          this.#breakers,
          breakerName(region, upstream),
          UPDATE_TIMEOUT_MS,
          (breaker) => breaker.receive(GLOBAL_PROTOCOL, update),
          locationOf(region),
        ),
      ),
    )
  }
}
