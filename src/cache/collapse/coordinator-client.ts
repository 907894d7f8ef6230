import type { Exchange } from '../../core/exchange.ts'
import type { Platform } from '../../core/platform.ts'
import { callObject } from '../../core/durable-object.ts'
import { makeStoreHealth } from '../../lib/store-health.ts'
import type { Outcome, Place, Told } from './in-flight-fetches.ts'

type Asking = Pick<Exchange, 'request' | 'waitUntil'>

/** Objects in one data centre; each handles about 1,000 calls a second. */
const SHARDS = 16
/** The time of one call, in milliseconds; a new object takes longest. */
const TIMEOUT_MS = 500

/** The in-flight fetches of the data centre, or process, in which a request came in. After three failures in a row its objects are only probed. */
export function makeFlightObjects({ cacheCoordinators, now }: Pick<Platform, 'cacheCoordinators' | 'now'>) {
  const health = makeStoreHealth(now, TIMEOUT_MS)
  const nameOf = (id: string, { request }: Asking) => {
    const colo = request.cf?.colo
    const shard = parseInt(id.slice(0, 2), 16) % SHARDS
    return `flights-${typeof colo === 'string' ? colo : 'local'}-${shard}`
  }
  const stub = (id: string, x: Asking) => cacheCoordinators.getByName(nameOf(id, x))
  const probe = (id: string, x: Asking) => async () => await stub(id, x).wait('probe', 0)
  return {
    join: (id: string, hasRead: boolean, x: Asking) =>
      health.ask<Place>(async () => await stub(id, x).join(id, hasRead), probe(id, x), x.waitUntil),
    // Later than the wait itself: a caller that learns too late that it leads has to say that it does not.
    wait: async (id: string, waitMs: number, x: Asking): Promise<Told> =>
      (await callObject(cacheCoordinators, nameOf(id, x), waitMs + TIMEOUT_MS, (object) => object.wait(id, waitMs))) ??
      'over',
    finish: (id: string, outcome: Outcome, x: Asking) =>
      health.ask<true>(async () => await stub(id, x).finish(id, outcome), probe(id, x), x.waitUntil),
  }
}
