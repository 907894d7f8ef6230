import { DurableObject } from 'cloudflare:workers'
import type { PurgeUpdate } from './api.ts'
import {
  makeInFlightFetches,
  type FetchOutcome,
  type JoinResult,
  type WaitResult,
} from './collapse/in-flight-fetches.ts'
import { makePurgeLog, MAX_PURGES, type PurgeLog } from './purge/purge-log.ts'
import type { PurgeOrder } from './purge/purges.ts'

/** What isolates agree on about the cache. Some objects know who fetches what, in a share of one place's keys; one, for the world, what was purged. */
export class CacheCoordinator extends DurableObject {
  /** Epoch milliseconds; tests replace these two. */
  now: () => number = Date.now
  maxPurges = MAX_PURGES
  #flights = makeInFlightFetches(() => this.now())
  #log: PurgeLog | undefined

  join(key: string, hasRead = false): JoinResult {
    return this.#flights.join(key, hasRead)
  }

  wait(key: string, waitMs: number): Promise<WaitResult> {
    return this.#flights.wait(key, waitMs)
  }

  finish(key: string, outcome: FetchOutcome): true {
    this.#flights.finish(key, outcome)
    return true
  }

  /** Takes orders, all or none, and answers with what came after `cursor`; undefined when the storage fails. It never throws. */
  purges(cursor: number, orders: readonly PurgeOrder[]): PurgeUpdate | undefined {
    try {
      return this.ctx.storage.transactionSync(() => {
        // Here and not in the constructor: the objects that only know flights have no tables.
        this.#log ??= makePurgeLog(
          this.ctx.storage.sql,
          () => this.now(),
          () => this.maxPurges,
        )
        return this.#log(cursor, orders)
      })
    } catch {
      this.#log = undefined
      return undefined
    }
  }
}
