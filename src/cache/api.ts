import type { FetchOutcome, JoinResult, WaitResult } from './collapse/in-flight-fetches.ts'
import type { Purge, PurgeOrder } from './purge/purges.ts'

/** Purges after a cursor, the oldest first. */
export interface PurgeUpdate {
  readonly purges: readonly Purge[]
  /** The `at` of the store's latest purge. When it is below the cursor of the reader, the store was replaced, and `purges` begin at its first. */
  readonly last: number
  /** Whether there are more purges to read. */
  readonly more: boolean
}

/** The remote calls of the Durable Object `CacheCoordinator`. */
export interface CacheCoordinatorApi {
  join(key: string, hasRead?: boolean): Promise<JoinResult>
  wait(key: string, waitMs: number): Promise<WaitResult>
  finish(key: string, outcome: FetchOutcome): Promise<true>
  purges(cursor: number, orders: readonly PurgeOrder[]): Promise<PurgeUpdate | undefined>
}

/** The part of the Cache API that the cache uses; keys are URLs. */
export interface EdgeCache {
  readonly match: (url: string) => Promise<Response | undefined>
  readonly put: (url: string, response: Response) => Promise<void>
  readonly delete: (url: string) => Promise<boolean>
}
