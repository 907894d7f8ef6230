import { callObject } from '../../core/durable-object.ts'
import type { Exchange } from '../../core/exchange.ts'
import { perPlatform, type Platform } from '../../core/platform.ts'
import { makeReplicaSync } from '../../lib/replica-sync.ts'
import type { PurgeUpdate } from '../api.ts'
import type { StoredHead } from '../http/entry.ts'
import { cacheRedis } from '../store/cache-redis.ts'
import { askRedisPurges } from './purge-log.ts'
import { makePurged, rowOf, type Purged, type PurgeOrder, type PurgeStatus } from './purges.ts'

type WaitingExchange = Pick<Exchange, 'waitUntil'>

/** One isolate's copy of all purges; at most five seconds behind where it says `live`. */
export interface Purges {
  /**
   * To be awaited before a fetch, so that a new store starts before anything is cached. Undefined except after a start, an idle time or an
   * outage; then it takes a quarter of a second at most, during which a tier can be read. Never rejects.
   */
  readonly ready: (x: WaitingExchange) => Promise<unknown> | undefined
  /** The status of a stored response; `validate` also when the store does not respond. A promise only where `ready` was not awaited; never rejects. */
  readonly standing: (
    head: Pick<StoredHead, 'requestTime' | 'url' | 'tags'>,
    x: WaitingExchange,
  ) => PurgeStatus | Promise<PurgeStatus>
  /** Invalidates URLs after an unsafe method (RFC 9111 §4.4): here at once, everywhere within five seconds. */
  readonly invalidate: (urls: readonly string[], x: WaitingExchange) => void
  /** Applies all orders or none. False when the store did not respond; it may have applied them. */
  readonly purge: (orders: readonly PurgeOrder[], x: WaitingExchange) => Promise<boolean>
}

/** The part of `Platform` that this needs. */
export type PurgePlatform = Pick<Platform, 'now' | 'variable' | 'secret' | 'cacheCoordinators'>

/** Sends orders to the configured store and reads its purges; undefined when it does not respond. */
type AskPurges = (cursor: number, orders: readonly PurgeOrder[], x: WaitingExchange) => Promise<PurgeUpdate | undefined>

/** The name of the object that holds all purges. */
export const PURGES_OBJECT = 'purges'

const TIMEOUT_MS = 1_000
/** Orders in one call. */
const MAX_ORDERS = 100
const MAX_PENDING = 1_000

/** The purges of a platform, which its routes share: in Redis where it is configured, which several processes can share, else in a Durable Object. */
export const platformPurges = perPlatform((platform: PurgePlatform): Purges =>
  makePurges(askerOf(platform), platform.now),
)

function askerOf(platform: PurgePlatform): AskPurges {
  const redis = cacheRedis(platform)
  if (redis) return (cursor, orders, x) => askRedisPurges(redis, cursor, orders, x.waitUntil)
  return (cursor, orders) =>
    callObject(platform.cacheCoordinators, PURGES_OBJECT, TIMEOUT_MS, (object) => object.purges(cursor, orders))
}

/**
 * Makes the copy of the purges in the store behind `ask`, which must never reject. It keeps up to 1,000 orders of `invalidate` for a store
 * that does not respond; one more replaces them all by a purge of everything in mode `validate`.
 */
export function makePurges(ask: AskPurges, clock: () => number): Purges {
  const purged = makePurged()
  const exchange = makePurgeReader(ask, purged)
  const pending = new Map<string, PurgeOrder>()
  const sync = makeReplicaSync((waitUntil) => sendPending(exchange, pending, { waitUntil }), clock)
  const note = (order: PurgeOrder) => {
    purged.add({ ...order, at: clock() })
    if (pending.size >= MAX_PENDING) {
      pending.clear()
      pending.set('', { kind: 'all', value: '', mode: 'validate' })
    } else pending.set(rowOf(order), order)
  }
  return {
    ready({ waitUntil }) {
      const fresh = sync.isFresh(clock(), waitUntil)
      return typeof fresh === 'boolean' ? undefined : fresh
    },
    standing(head, { waitUntil }) {
      const fresh = sync.isFresh(clock(), waitUntil)
      const statusOf = (isFresh: boolean): PurgeStatus => {
        const status = purged.standing(head)
        // A known purge holds, whether or not the store responds.
        return isFresh || status === 'gone' ? status : 'validate'
      }
      return typeof fresh === 'boolean' ? statusOf(fresh) : fresh.then(statusOf)
    },
    invalidate(urls, { waitUntil }) {
      for (const value of urls) note({ kind: 'url', value, mode: 'validate' })
      sync.refresh(waitUntil)
    },
    purge: async (orders, x) => (await exchange(orders, x)) !== undefined,
  }
}

/**
 * Sends orders and reads the purges after the cursor. True when there are more to read; undefined when the store does not respond.
 * `noted`: rows that this isolate has applied already.
 */
type PurgeExchange = (
  orders: readonly PurgeOrder[],
  x: WaitingExchange,
  noted?: readonly string[],
) => Promise<boolean | undefined>

function makePurgeReader(ask: AskPurges, purged: Purged): PurgeExchange {
  let cursor = 0
  return async (orders, x, noted = []) => {
    const from = cursor
    const update = await ask(from, orders, x)
    if (update === undefined) return undefined
    // This isolate applied its own orders earlier: what it has fetched since then is good.
    for (const purge of update.purges) if (!noted.includes(rowOf(purge))) purged.add(purge)
    const seen = update.purges.at(-1)?.at ?? update.last
    // Updates can overtake each other. But a store with an earlier last purge has lost its purges, and starts anew.
    cursor = update.last < from ? seen : Math.max(cursor, seen)
    return update.more
  }
}

/** Sends the pending orders in batches, and reads until there is nothing more; false when the store does not respond. */
async function sendPending(
  exchange: PurgeExchange,
  pending: Map<string, PurgeOrder>,
  x: WaitingExchange,
): Promise<boolean> {
  for (;;) {
    const batch = [...pending].slice(0, MAX_ORDERS)
    const orders = batch.map(([, order]) => order)
    const more = await exchange(orders, x, orders.map(rowOf))
    if (more === undefined) return false
    for (const [row, order] of batch) if (pending.get(row) === order) pending.delete(row)
    if (!more && pending.size === 0) return true
  }
}
