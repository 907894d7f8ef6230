import type { Selection } from './vary.ts'

/** What is kept of an answer besides its body; plain data, so that every tier can write it down. */
export interface StoredHead {
  /** Format of this record; a reader drops what it does not know. */
  readonly v: 1
  readonly status: number
  /** The origin's fields that may be stored (RFC 9111 §3.1), names in lower case, in the origin's order. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** When the request that brought it left, and when its answer came: epoch milliseconds (RFC 9111 §4.2.3). */
  readonly requestTime: number
  readonly responseTime: number
  /** Scheme, host, path and keyed query as the client asked for it: what purges by URL and by prefix look at. */
  readonly url: string
  readonly tags: readonly string[]
  /** The fields that the origin's Vary names, as the request had them that brought this answer; absent when it names none. */
  readonly selecting?: Selection
  /** Epoch milliseconds after which no tier needs to keep it: fresh life and the stale times that the route allows. */
  readonly keepUntil: number
}

/** A stored answer with its body, which can be read once. */
export interface Stored {
  readonly head: StoredHead
  readonly body: ReadableStream<Uint8Array> | null
}
