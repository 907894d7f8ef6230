import { createHash } from 'node:crypto'
import { callObject, type ObjectNamespace } from '../core/durable-object.ts'

/** One object does about 1,000 writes a second. */
const NONCE_SHARDS = 16
/** A response takes a fraction of a millisecond, that of a new object a few milliseconds. */
const TIMEOUT_MS = 1_000
/** How much longer than its signature a nonce is kept, in milliseconds: the store has a clock of its own. */
const MARGIN_MS = 60_000

/** The remote calls of the Durable Object `NonceStore`. */
export interface NonceStoreApi {
  use(id: string, keepMs: number): Promise<boolean | undefined>
}

/** The result of using a nonce. */
export type NonceVerdict = 'fresh' | 'used' | 'unavailable'

/**
 * Uses a provider's nonce up: of all calls from all isolates within `leftMs` milliseconds, exactly one gets `fresh`.
 * `unavailable` when the store does not respond within a second, or is full; the nonce may be used up then. Never rejects.
 */
export async function takeNonce(
  namespace: ObjectNamespace<NonceStoreApi>,
  { provider, keyid, nonce }: { readonly provider: string; readonly keyid: string; readonly nonce: string },
  leftMs: number,
): Promise<NonceVerdict> {
  const id = createHash('sha256')
    .update(JSON.stringify([provider, keyid, nonce]))
    .digest('hex')
  const shard = parseInt(id.slice(0, 2), 16) % NONCE_SHARDS
  const fresh = await callObject(namespace, `nonces-${shard}`, TIMEOUT_MS, (store) => store.use(id, leftMs + MARGIN_MS))
  if (fresh === undefined) return 'unavailable'
  return fresh ? 'fresh' : 'used'
}
