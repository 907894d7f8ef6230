import { DurableObject } from 'cloudflare:workers'
import { withTimeout, leftOf } from '../../lib/time.ts'
import { breakerName, locationOf, type Region } from '../../core/region.ts'
import { standingOf } from './regional-state.ts'
import type { WorldView } from './api.ts'
import {
  hearRegion,
  isActive,
  isLasting,
  newsOf,
  NEW_WORLD,
  steer,
  WORLD_PROTOCOL,
  type Order,
  type RegionReport,
  type World,
  type WorldNews,
} from './global-state.ts'

const KEY = 'world-v1'
/** A region's time to take the news, in milliseconds; one that does not hears of it with its next report. */
const TAKE_MS = 500

/** Keeps what the regions of one upstream have to agree on: its name is the upstream's. `tell` and `inspect` never throw. */
export class UpstreamWorld extends DurableObject {
  /** Epoch milliseconds; tests replace it. */
  now: () => number = Date.now
  #world: World = this.ctx.storage.kv.get<World>(KEY) ?? NEW_WORLD

  /** Takes a region's report and answers with what it has to know; undefined when it cannot say, and the region decides alone. */
  tell(protocol: number, report: RegionReport): WorldNews | undefined {
    if (protocol !== WORLD_PROTOCOL) return undefined
    try {
      const [next, news] = hearRegion(this.#world, report, this.now())
      const changed = next.rev !== this.#world.rev
      this.#keep(next)
      if (changed) this.ctx.waitUntil(this.#publish(report.region))
      return news
    } catch {
      return undefined
    }
  }

  inspect(): WorldView {
    const now = this.now()
    const { forced, circuit, drained, leases, regions } = this.#world
    return {
      forced,
      everywhere: standingOf(circuit, now),
      drained,
      leases: leases.filter((lease) => leftOf(lease, now) > 0).length,
      regions: regions
        .map((region) => ({
          region: region.region,
          state: region.state,
          forMs: region.state === 'open' ? leftOf(region, now) : 0,
          openings: region.openings,
          heardMsAgo: Math.max(0, now - region.heard.since),
          active: isActive(region, now),
        }))
        .toSorted((a, b) => a.region.localeCompare(b.region)),
    }
  }

  /** Does what an operator orders, stores it, and answers when the regions that can be reached know. Rejects when it cannot be stored. */
  async steer(order: Order): Promise<WorldView> {
    const next = steer(this.#world, order, this.now())
    const changed = next !== this.#world
    this.#keep(next)
    if (changed) await this.#publish()
    return this.inspect()
  }

  #keep(next: World): void {
    if (isLasting(this.#world, next)) this.ctx.storage.kv.put(KEY, next)
    this.#world = next
  }

  /** Tells every region but the one that is being answered. */
  async #publish(but?: Region): Promise<void> {
    const { upstream, regions } = this.#world
    if (upstream === undefined) return
    const news = newsOf(this.#world, this.now())
    const others = regions.map(({ region }) => region).filter((region) => region !== but)
    await Promise.all(
      others.map((region) =>
        withTimeout(TAKE_MS, async () =>
          this.env.BREAKERS.getByName(breakerName(region, upstream), locationOf(region)).learn(WORLD_PROTOCOL, news),
        ),
      ),
    )
  }
}
