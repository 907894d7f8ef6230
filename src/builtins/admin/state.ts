import { withTimeout } from '../../lib/time.ts'
import type { Platform } from '../../core/platform.ts'
import { breakerName, locationOf, type Region } from '../../core/region.ts'
import type { BreakerView } from '../../upstream/circuit-breaker/breaker-object.ts'
import type { Order, WorldView } from '../../upstream/circuit-breaker/global-state-object.ts'

/** An object's time to answer, in milliseconds; more than the world's object gives those of the regions. */
const ANSWER_MS = 1_000

/** What the objects of one upstream say; a region whose own object does not answer has no `breaker`. */
export interface State {
  readonly world: WorldView
  readonly regions: readonly (WorldView['regions'][number] & { readonly breaker: BreakerView | undefined })[]
}

/** The objects that keep what isolates share. Undefined when one does not answer in time. */
export interface StateClient {
  readonly look: (upstream: string) => Promise<State | undefined>
  readonly world: (upstream: string) => Promise<WorldView | undefined>
  readonly steer: (upstream: string, order: Order) => Promise<WorldView | undefined>
}

/** Gives each object a second. Never rejects; `look` asks the world before the regions, which it asks all at once: two seconds at most. */
export function makeStateClient({
  globalUpstreams: worlds,
  breakers,
}: Pick<Platform, 'globalUpstreams' | 'breakers'>): StateClient {
  const world = (upstream: string) =>
    withTimeout<WorldView>(ANSWER_MS, async () => worlds.getByName(upstream).inspect())
  const breaker = (upstream: string, region: Region) =>
    withTimeout<BreakerView>(ANSWER_MS, async () =>
      breakers.getByName(breakerName(region, upstream), locationOf(region)).inspect(),
    )
  return {
    world,
    look: async (upstream) => {
      const found = await world(upstream)
      if (found === undefined) return undefined
      const regions = found.regions.map(async (one) => ({ ...one, breaker: await breaker(upstream, one.region) }))
      return { world: found, regions: await Promise.all(regions) }
    },
    steer: (upstream, order) => withTimeout<WorldView>(ANSWER_MS, async () => worlds.getByName(upstream).steer(order)),
  }
}
