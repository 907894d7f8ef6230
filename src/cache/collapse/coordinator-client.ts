import type { Exchange } from '../../core/exchange.ts'
import { withTimeout } from '../../lib/time.ts'
import { makeStoreHealth } from '../../lib/store-health.ts'
import type { Platform } from '../../core/platform.ts'
import type { Outcome, Place, Told } from './in-flight-fetches.ts'

type Asking = Pick<Exchange, 'request' | 'waitUntil'>

/** Objects in one data centre; each takes about 1,000 calls a second. */
const SHARDS = 16
/** An object's time to answer; a new one takes longest. */
const TIMEOUT_MS = 500

/** Who is fetching what in the data centre, or process, in which a request came in. After three failures in a row its objects are only probed. */
export function makeFlightObjects({ cacheCoordinators: cacheState, now }: Pick<Platform, 'cacheCoordinators' | 'now'>) {
  const health = makeStoreHealth(now, TIMEOUT_MS)
  const stub = (id: string, { request }: Asking) => {
    const colo = request.cf?.colo
    const shard = parseInt(id.slice(0, 2), 16) % SHARDS
    return cacheState.getByName(`flights-${typeof colo === 'string' ? colo : 'local'}-${shard}`)
  }
  const probe = (id: string, x: Asking) => async () => await stub(id, x).wait('probe', 0)
  return {
    join: (id: string, hasRead: boolean, x: Asking) =>
      health.ask<Place>(async () => await stub(id, x).join(id, hasRead), probe(id, x), x.waitUntil),
    // Later than it should: whoever hears too late that he leads has to say that he does not.
    wait: async (id: string, waitMs: number, x: Asking): Promise<Told> =>
      (await withTimeout<Told>(waitMs + TIMEOUT_MS, async () => await stub(id, x).wait(id, waitMs))) ?? 'over',
    finish: (id: string, outcome: Outcome, x: Asking) =>
      health.ask<true>(async () => await stub(id, x).finish(id, outcome), probe(id, x), x.waitUntil),
  }
}
