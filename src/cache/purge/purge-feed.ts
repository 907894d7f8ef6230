import { callObject } from '../../core/durable-object.ts'
import type { Exchange } from '../../core/exchange.ts'
import { perPlatform, type Platform } from '../../core/platform.ts'
import { makeReplicaSync } from '../../lib/replica-sync.ts'
import type { PurgeUpdate } from '../api.ts'
import type { StoredHead } from '../http/entry.ts'
import { cacheRedis } from '../store/cache-redis.ts'
import { askRedisPurges } from './purge-log.ts'
import { makePurged, rowOf, type PurgeOrder, type PurgeStatus } from './purges.ts'

type Waiting = Pick<Exchange, 'waitUntil'>

/** One isolate's copy of all purges, never more than five seconds behind when it says `live`. */
export interface Purges {
  /**
   * To be awaited before the origin is asked, so that a store that is new begins before anything is stored. Undefined but after a start,
   * an idle time, an outage; then a quarter of a second at most, during which a tier can be read. Never rejects.
   */
  readonly ready: (x: Waiting) => Promise<unknown> | undefined
  /** `validate` also when the store does not answer. A promise only where `ready` was not awaited; never rejects. */
  readonly standing: (
    head: Pick<StoredHead, 'requestTime' | 'url' | 'tags'>,
    x: Waiting,
  ) => PurgeStatus | Promise<PurgeStatus>
  /** In force here at once, and everywhere within five seconds: what an unsafe method does to URLs (RFC 9111 §4.4). */
  readonly invalidate: (urls: readonly string[], x: Waiting) => void
  /** A row each, whatever the number of entries, all or none. False when the store did not answer; it may have taken them all the same. */
  readonly purge: (orders: readonly PurgeOrder[], x: Waiting) => Promise<boolean>
}

/** The part of `Platform` that this needs. */
export type PurgePlatform = Pick<Platform, 'now' | 'variable' | 'secret' | 'cacheCoordinators'>

/** Asks whatever store there is; undefined when it does not answer. */
type AskPurges = (cursor: number, orders: readonly PurgeOrder[], x: Waiting) => Promise<PurgeUpdate | undefined>

/** The name of the one object that knows all purges. */
export const PURGES_OBJECT = 'purges'

const TIMEOUT_MS = 1_000
/** What one question brings along. */
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
 * Follows the store behind `ask`, which must never reject. Of what `invalidate` has noted, it keeps 1,000 orders for a store that does not
 * answer; one more makes them all a purge of everything in mode `validate`.
 */
export function makePurges(ask: AskPurges, clock: () => number): Purges {
  const purged = makePurged()
  const pending = new Map<string, PurgeOrder>()
  let cursor = 0

  /** True when there is more to ask for; undefined when the store does not answer. `noted`: rows that are known here already. */
  const exchange = async (orders: readonly PurgeOrder[], x: Waiting, noted: readonly string[] = []) => {
    const asked = cursor
    const news = await ask(asked, orders, x)
    if (news === undefined) return undefined
    // By this isolate's clock it was earlier: what was asked of the origin since then is good.
    for (const purge of news.purges) if (!noted.includes(rowOf(purge))) purged.add(purge)
    const seen = news.purges.at(-1)?.at ?? news.last
    // Answers may overtake each other; but a store with an earlier last purge has lost what it knew, and begins anew.
    cursor = news.last < asked ? seen : Math.max(cursor, seen)
    return news.more
  }
  const read = async (waitUntil: Waiting['waitUntil']) => {
    for (;;) {
      const batch = [...pending].slice(0, MAX_ORDERS)
      const orders = batch.map(([, order]) => order)
      const more = await exchange(orders, { waitUntil }, orders.map(rowOf))
      if (more === undefined) return false
      for (const [row, order] of batch) if (pending.get(row) === order) pending.delete(row)
      if (!more && pending.size === 0) return true
    }
  }
  const follower = makeReplicaSync(read, clock)
  const note = (order: PurgeOrder) => {
    purged.add({ ...order, at: clock() })
    if (pending.size >= MAX_PENDING) {
      pending.clear()
      pending.set('', { kind: 'all', value: '', mode: 'validate' })
    } else pending.set(rowOf(order), order)
  }

  return {
    ready({ waitUntil }) {
      const fresh = follower.isFresh(clock(), waitUntil)
      return typeof fresh === 'boolean' ? undefined : fresh
    },
    standing(head, { waitUntil }) {
      const fresh = follower.isFresh(clock(), waitUntil)
      const judge = (isFresh: boolean): PurgeStatus => {
        const standing = purged.standing(head)
        // What is known stays known, whoever does not answer.
        return isFresh || standing === 'gone' ? standing : 'validate'
      }
      return typeof fresh === 'boolean' ? judge(fresh) : fresh.then(judge)
    },
    invalidate(urls, { waitUntil }) {
      for (const value of urls) note({ kind: 'url', value, mode: 'validate' })
      follower.refresh(waitUntil)
    },
    purge: async (orders, x) => (await exchange(orders, x)) !== undefined,
  }
}
