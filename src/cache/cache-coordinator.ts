import { DurableObject } from 'cloudflare:workers'
import { logObjectError } from '../telemetry/object-errors.ts'
import type { PurgeUpdate } from './api.ts'
import {
  makeInFlightFetches,
  type FetchOutcome,
  type JoinResult,
  type WaitResult,
} from './collapse/in-flight-fetches.ts'
import { makePurgeLog, MAX_PURGES, type PurgeLog } from './purge/purge-log.ts'
import type { PurgeOrder } from './purge/purges.ts'

/** The shared state of the cache. Several objects hold the in-flight fetches of one place, by shards of the keys; one object holds all purges, for all places. */
export class CacheCoordinator extends DurableObject {
  /** Epoch milliseconds; tests replace these two. */
  now: () => number = Date.now
  maxPurges = MAX_PURGES
  #inFlightFetches = makeInFlightFetches(() => this.now())
  #log: PurgeLog | undefined

  join(key: string, hasRead = false): JoinResult {
    return this.#inFlightFetches.join(key, hasRead)
  }

  wait(key: string, waitMs: number): Promise<WaitResult> {
    return this.#inFlightFetches.wait(key, waitMs)
  }

  finish(key: string, outcome: FetchOutcome): true {
    this.#inFlightFetches.finish(key, outcome)
    return true
  }

  /** Applies all orders or none, and returns the purges after `cursor`; undefined when the storage fails. Never throws. */
  purges(cursor: number, orders: readonly PurgeOrder[]): PurgeUpdate | undefined {
    try {
      return this.ctx.storage.transactionSync(() => {
        // Not in the constructor: the objects that hold in-flight fetches need no tables.
        this.#log ??= makePurgeLog(
          this.ctx.storage.sql,
          () => this.now(),
          () => this.maxPurges,
        )
        return this.#log(cursor, orders)
      })
    } catch (error) {
      logObjectError('CacheCoordinator', 'purges', error, this.env)
      this.#log = undefined
      return undefined
    }
  }
}
