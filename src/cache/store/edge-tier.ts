import { distance, withTimeout } from '../../lib/time.ts'
import type { EdgeCache } from '../api.ts'
import type { StoredResponse } from '../http/entry.ts'
import { decodeHead } from './codec.ts'

/** Stored responses in the Cache API: of this data centre on Cloudflare, of this process elsewhere. Never rejects. */
export interface EdgeTier {
  readonly read: (url: string) => Promise<StoredResponse | undefined>
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
 * own rules. The head is one field beside the body, so that the body streams without passing through JavaScript.
 */
export function makeEdgeTier(cache: EdgeCache, now: () => number): EdgeTier {
  return {
    async read(url) {
      const found = await withTimeout(EDGE_TIMEOUT_MS, () => cache.match(url))
      if (found === undefined) return undefined
      const head = decodeHead(found.headers.get(HEAD_FIELD), now())
      if (head !== undefined) return { head, body: found.headers.get(BYTES_FIELD) === '0' ? null : found.body }
      found.body?.cancel().catch(() => {})
      return undefined
    },
    async write(url, head, bytes, keepUntil) {
      const seconds = Math.ceil((keepUntil - now()) / 1_000)
      if (seconds <= 0) return false
      const headers = {
        'cache-control': `max-age=${seconds}`,
        [HEAD_FIELD]: head,
        [BYTES_FIELD]: String(bytes.byteLength),
      }
      return cache.put(url, new Response(bytes, { headers })).then(
        () => true,
        () => false,
      )
    },
    async drop(url) {
      await withTimeout(EDGE_TIMEOUT_MS, () => cache.delete(url))
    },
  }
}

/** How long an isolate uses its own copy, in milliseconds: it sees the writes of other isolates so much later. */
const COPY_AGE_MS = 1_000
/** Larger bodies stream from the cache itself. */
const MAX_BODY_BYTES = 64 * 1024
const MAX_TOTAL_BYTES = 8 * 1024 ** 2

interface EdgeCopy {
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly size: number
  /** Epoch milliseconds. */
  readonly since: number
}

/**
 * `cache` behind this isolate's own copies of its small responses, because a call of the Cache API costs as much as a call of an origin.
 * A write or deletion by this isolate counts at once.
 */
export function rememberBriefly(cache: EdgeCache, now: () => number): EdgeCache {
  const copies = makeCopyTable(now)
  return {
    async match(url) {
      const copy = copies.get(url)
      if (copy !== undefined) return responseOf(copy)
      const revision = copies.revision()
      const found = await cache.match(url)
      if (found === undefined || !isSmall(found)) return found
      const made = await copyOf(url, found, now())
      // A later write or deletion must not be hidden by this older copy.
      if (revision === copies.revision()) copies.add(url, made)
      return responseOf(made)
    },
    async put(url, response) {
      copies.remove(url)
      await cache.put(url, response)
      // Reads that started before the write must not keep their copy.
      copies.remove(url)
    },
    delete(url) {
      copies.remove(url)
      return cache.delete(url)
    },
  }
}

function makeCopyTable(now: () => number) {
  /** The oldest first. */
  const copies = new Map<string, EdgeCopy>()
  let total = 0
  let revision = 0
  const isYoung = ({ since }: EdgeCopy) => distance(now(), since) < COPY_AGE_MS
  const forget = (url: string) => {
    total -= copies.get(url)?.size ?? 0
    copies.delete(url)
  }
  return {
    /** Changes with each write and deletion. */
    revision: () => revision,
    get: (url: string): EdgeCopy | undefined => {
      const copy = copies.get(url)
      return copy !== undefined && isYoung(copy) ? copy : undefined
    },
    add: (url: string, copy: EdgeCopy) => {
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

async function copyOf(url: string, response: Response, now: number): Promise<EdgeCopy> {
  const head = response.headers.get(HEAD_FIELD) ?? ''
  const bytes = new Uint8Array(await response.arrayBuffer())
  const headers = { [HEAD_FIELD]: head, [BYTES_FIELD]: String(bytes.byteLength) }
  return { headers, bytes, size: url.length + head.length + bytes.byteLength, since: now }
}

const responseOf = ({ headers, bytes }: EdgeCopy) => new Response(bytes, { headers })

function isSmall({ headers }: Response): boolean {
  const length = headers.get(BYTES_FIELD)
  return length !== null && Number(length) <= MAX_BODY_BYTES
}
