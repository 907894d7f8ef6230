import { withTimeout } from '../../lib/time.ts'
import type { EdgeCache } from '../api.ts'
import type { StoredResponse } from '../http/entry.ts'
import { decodeHead } from './codec.ts'

/** Answers in the Cache API: of this data centre on Cloudflare, of this process elsewhere. Never rejects. */
export interface EdgeTier {
  readonly read: (url: string) => Promise<StoredResponse | undefined>
  /** `head` by `encodeHead`; false when it was not taken. */
  readonly write: (url: string, head: string, bytes: Uint8Array<ArrayBuffer>, keepUntil: number) => Promise<boolean>
  readonly drop: (url: string) => Promise<void>
}

/** The Cache API asks nothing beyond its data centre; what takes longer is ill, and another way is faster. */
const EDGE_TIMEOUT_MS = 250

const MAX_URL_CHARS = 4 * 1024
/** The field that holds the head, by `encodeHead`, beside a stored body. */
export const HEAD_FIELD = 'x-umbral-head'
/** The field that says how many bytes the body has, in decimal: known before any of it is read. */
export const BYTES_FIELD = 'x-umbral-bytes'

/**
 * The URL that stands for `key`, on a host that nobody can ask: the whole key, not a hash of it, so that two keys never meet. In its
 * path, because a zone may be set to ignore queries. Undefined for a key that is too long, or no Unicode.
 */
export function edgeUrl(key: string): string | undefined {
  if (!key.isWellFormed()) return undefined
  const url = `https://cache.umbral.invalid/1/=${encodeURIComponent(key)}`
  return url.length <= MAX_URL_CHARS ? url : undefined
}

/**
 * Every answer is kept as a 200 without any field of its own: no platform then refuses a status, varies, revalidates or decodes by
 * rules that are not the gateway's. Its head is one field beside the body, so that the body streams without passing through JavaScript.
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

/** How long an isolate believes its own copy, in milliseconds: so much later it sees what another isolate has put in its place. */
const BELIEVED_MS = 1_000
/** Larger bodies stream from the cache itself. */
const MAX_BODY_BYTES = 64 * 1024
const MAX_TOTAL_BYTES = 8 * 1024 ** 2

interface Copy {
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Uint8Array<ArrayBuffer>
  readonly size: number
  /** Epoch milliseconds. */
  readonly since: number
}

/**
 * `cache` with this isolate's own copies of its small answers in front: to ask the Cache API costs as much as to ask an origin. What
 * was put or deleted here is so at once.
 */
export function rememberBriefly(cache: EdgeCache, now: () => number): EdgeCache {
  /** The oldest first. */
  const copies = new Map<string, Copy>()
  let total = 0
  let changes = 0

  const isBelieved = ({ since }: Copy) => Math.abs(now() - since) < BELIEVED_MS
  const forget = (url: string) => {
    total -= copies.get(url)?.size ?? 0
    copies.delete(url)
  }
  /** `asked`: the changes when it was asked for; something newer may have come since. */
  const remember = async (url: string, response: Response, asked: number): Promise<Copy> => {
    const head = response.headers.get(HEAD_FIELD) ?? ''
    const bytes = new Uint8Array(await response.arrayBuffer())
    const headers = { [HEAD_FIELD]: head, [BYTES_FIELD]: String(bytes.byteLength) }
    const copy = { headers, bytes, size: url.length + head.length + bytes.byteLength, since: now() }
    if (asked !== changes) return copy
    forget(url)
    copies.set(url, copy)
    total += copy.size
    for (const [oldest, one] of copies) {
      if (total <= MAX_TOTAL_BYTES && isBelieved(one)) break
      forget(oldest)
    }
    return copy
  }
  const change = (url: string) => {
    changes++
    forget(url)
  }

  return {
    async match(url) {
      const copy = copies.get(url)
      if (copy !== undefined && isBelieved(copy)) return answer(copy)
      const asked = changes
      const found = await cache.match(url)
      if (found === undefined || !isSmall(found)) return found
      return answer(await remember(url, found, asked))
    },
    async put(url, response) {
      change(url)
      await cache.put(url, response)
      // Those who asked the cache before it had this one.
      change(url)
    },
    delete(url) {
      change(url)
      return cache.delete(url)
    },
  }
}

const answer = ({ headers, bytes }: Copy) => new Response(bytes, { headers })

function isSmall({ headers }: Response): boolean {
  const length = headers.get(BYTES_FIELD)
  return length !== null && Number(length) <= MAX_BODY_BYTES
}
