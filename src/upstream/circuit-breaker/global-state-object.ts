import { DurableObject } from 'cloudflare:workers'
import { withTimeout, remaining } from '../../lib/time.ts'
import { breakerName, locationOf, type Region } from '../../core/region.ts'
import { statusOf } from './regional-state.ts'
import type { GlobalStateView } from './api.ts'
import {
  applyRegionReport,
  isActiveRegion,
  mustStoreGlobal,
  globalUpdateOf,
  NEW_GLOBAL_STATE,
  applyOrder,
  GLOBAL_PROTOCOL,
  type OperatorOrder,
  type RegionReport,
  type GlobalState,
  type GlobalUpdate,
} from './global-state.ts'

const KEY = 'world-v1'
/** A region's time to take the news, in milliseconds; one that does not hears of it with its next report. */
const TAKE_MS = 500

/** Keeps what the regions of one upstream have to agree on: its name is the upstream's. `tell` and `inspect` never throw. */
export class GlobalUpstreamState extends DurableObject {
  /** Epoch milliseconds; tests replace it. */
  now: () => number = Date.now
  #world: GlobalState = this.ctx.storage.kv.get<GlobalState>(KEY) ?? NEW_GLOBAL_STATE

  /** Takes a region's report and answers with what it has to know; undefined when it cannot say, and the region decides alone. */
  report(protocol: number, report: RegionReport): GlobalUpdate | undefined {
    if (protocol !== GLOBAL_PROTOCOL) return undefined
    try {
      const [next, news] = applyRegionReport(this.#world, report, this.now())
      const changed = next.rev !== this.#world.rev
      this.#keep(next)
      if (changed) this.ctx.waitUntil(this.#publish(report.region))
      return news
    } catch {
      return undefined
    }
  }

  inspect(): GlobalStateView {
    const now = this.now()
    const { forced, breaker: circuit, drained, leases, regions } = this.#world
    return {
      forced,
      everywhere: statusOf(circuit, now),
      drained,
      leases: leases.filter((lease) => remaining(lease, now) > 0).length,
      regions: regions
        .map((region) => ({
          region: region.region,
          state: region.state,
          forMs: region.state === 'open' ? remaining(region, now) : 0,
          openings: region.openings,
          heardMsAgo: Math.max(0, now - region.heard.since),
          active: isActiveRegion(region, now),
        }))
        .toSorted((a, b) => a.region.localeCompare(b.region)),
    }
  }

  /** Does what an operator orders, stores it, and answers when the regions that can be reached know. Rejects when it cannot be stored. */
  async order(order: OperatorOrder): Promise<GlobalStateView> {
    const next = applyOrder(this.#world, order, this.now())
    const changed = next !== this.#world
    this.#keep(next)
    if (changed) await this.#publish()
    return this.inspect()
  }

  #keep(next: GlobalState): void {
    if (mustStoreGlobal(this.#world, next)) this.ctx.storage.kv.put(KEY, next)
    this.#world = next
  }

  /** Tells every region but the one that is being answered. */
  async #publish(but?: Region): Promise<void> {
    const { upstream, regions } = this.#world
    if (upstream === undefined) return
    const news = globalUpdateOf(this.#world, this.now())
    const others = regions.map(({ region }) => region).filter((region) => region !== but)
    await Promise.all(
      others.map((region) =>
        withTimeout(TAKE_MS, async () =>
          this.env.BREAKERS.getByName(breakerName(region, upstream), locationOf(region)).receive(GLOBAL_PROTOCOL, news),
        ),
      ),
    )
  }
}
