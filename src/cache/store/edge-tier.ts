import { distance, withTimeout } from '../../lib/time.ts'
import type { EdgeCache } from '../api.ts'
import type { StoredHead, StoredResponse } from '../http/entry.ts'
import { decodeHead } from './codec.ts'

interface EdgeResponse extends StoredResponse {
  readonly tier: 'edge'
}

/** Stored responses in the Cache API: of this data centre on Cloudflare, of this process elsewhere. Never rejects. */
export interface EdgeTier {
  /** This isolate's own copy of a small response that `read` gave within the last second; undefined when there is none. */
  readonly recall: (url: string) => EdgeResponse | undefined
  readonly read: (url: string) => Promise<EdgeResponse | undefined>
  /** Stores a head (by `encodeHead`) and a body; false when it was not stored. */
  readonly write: (url: string, head: string, bytes: Uint8Array<ArrayBuffer>, keepUntil: number) => Promise<boolean>
  readonly drop: (url: string) => Promise<void>
}

/** The Cache API calls nothing beyond its data centre: a call that takes longer has failed. Milliseconds. */
const EDGE_TIMEOUT_MS = 250

const MAX_URL_CHARS = 4 * 1024
/** The field that holds the head, by `encodeHead`, beside a stored body. */
const HEAD_FIELD = 'x-umbral-head'
/** The field that holds the length of the body in bytes, in decimal, so that it is known before the body is read. */
const BYTES_FIELD = 'x-umbral-bytes'

/**
 * The URL that stands for `key`, on a host that no client can request: the whole key and no hash of it, so that keys cannot collide. It is
 * in the path, because a zone can be configured to ignore queries. Undefined for a key that is too long, or not well-formed Unicode.
 */
export function edgeUrl(key: string): string | undefined {
  if (!key.isWellFormed()) return undefined
  const url = `https://cache.umbral.invalid/1/=${encodeURIComponent(key)}`
  return url.length <= MAX_URL_CHARS ? url : undefined
}

/**
 * Every response is stored as a 200 without fields of its own, so that no platform refuses a status, varies, revalidates or decodes by its
 * own rules. The head is one field beside the body, so that a large body streams without passing through JavaScript.
 */
export function makeEdgeTier(cache: EdgeCache, now: () => number): EdgeTier {
  const copies = makeCopyTable(now)
  return {
    recall: copies.get,
    async read(url) {
      const revision = copies.revision()
      const found = await withTimeout(EDGE_TIMEOUT_MS, () => cache.match(url))
      if (found === undefined) return undefined
      const response = await readStored(url, found, now())
      // A later write or deletion must not be hidden by this older copy.
      if (response instanceof MemoryCopy && revision === copies.revision()) copies.add(url, response)
      return response
    },
    async write(url, head, bytes, keepUntil) {
      const seconds = Math.ceil((keepUntil - now()) / 1_000)
      if (seconds <= 0) return false
      const headers = {
        'cache-control': `max-age=${seconds}`,
        [HEAD_FIELD]: head,
        [BYTES_FIELD]: String(bytes.byteLength),
      }
      copies.remove(url)
      const isWritten = await cache.put(url, new Response(bytes, { headers })).then(
        () => true,
        () => false,
      )
      // Reads that started before the write must not keep their copy.
      copies.remove(url)
      return isWritten
    },
    async drop(url) {
      copies.remove(url)
      await withTimeout(EDGE_TIMEOUT_MS, () => cache.delete(url))
    },
  }
}

/** A stored response as read from the Cache API, in memory where it is small; undefined for one that cannot be used, or whose body breaks off. */
async function readStored(url: string, found: Response, now: number): Promise<EdgeResponse | undefined> {
  const text = found.headers.get(HEAD_FIELD)
  const head = decodeHead(text, now)
  if (head === undefined) {
    found.body?.cancel().catch(() => {})
    return undefined
  }
  const length = found.headers.get(BYTES_FIELD)
  if (length === null || Number(length) > MAX_BODY_BYTES) return { head, body: found.body, tier: 'edge' }
  const buffer = await withTimeout(EDGE_TIMEOUT_MS, () => found.arrayBuffer())
  if (buffer === undefined) return undefined
  return new MemoryCopy(head, new Uint8Array(buffer), now, url.length + text!.length + buffer.byteLength)
}

/** How long an isolate uses its own copy, in milliseconds: it sees the writes of other isolates so much later. */
const COPY_AGE_MS = 1_000
/** Larger bodies stream from the cache itself. */
const MAX_BODY_BYTES = 64 * 1024
const MAX_TOTAL_BYTES = 8 * 1024 ** 2

/** A stored response in the memory of this isolate: a call of the Cache API costs as much as a call of an origin. Its body can be read many times. */
class MemoryCopy implements EdgeResponse {
  readonly tier = 'edge'
  readonly head: StoredHead
  readonly bytes: Uint8Array<ArrayBuffer>
  /** Epoch milliseconds. */
  readonly since: number
  /** In bytes, with its key and head. */
  readonly size: number

  constructor(head: StoredHead, bytes: Uint8Array<ArrayBuffer>, since: number, size: number) {
    this.head = head
    this.bytes = bytes
    this.since = since
    this.size = size
  }

  get body(): ReadableStream<Uint8Array> | null {
    return this.bytes.byteLength === 0 ? null : new Response(this.bytes).body
  }
}

function makeCopyTable(now: () => number) {
  /** The oldest first. */
  const copies = new Map<string, MemoryCopy>()
  let total = 0
  let revision = 0
  const isYoung = ({ since }: MemoryCopy) => distance(now(), since) < COPY_AGE_MS
  const forget = (url: string) => {
    total -= copies.get(url)?.size ?? 0
    copies.delete(url)
  }
  return {
    /** Changes with each write and deletion. */
    revision: () => revision,
    get: (url: string): MemoryCopy | undefined => {
      const copy = copies.get(url)
      return copy !== undefined && isYoung(copy) && copy.head.keepUntil > now() ? copy : undefined
    },
    add: (url: string, copy: MemoryCopy) => {
      forget(url)
      copies.set(url, copy)
      total += copy.size
      for (const [oldest, one] of copies) {
        if (total <= MAX_TOTAL_BYTES && isYoung(one)) return
        forget(oldest)
      }
    },
    remove: (url: string) => {
      revision++
      forget(url)
    },
  }
}
