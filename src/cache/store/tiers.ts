import { perPlatform } from '../../core/platform.ts'
import { withTimeout } from '../../lib/time.ts'
import type { EdgeCache } from '../api.ts'
import type { StoredHead, StoredResponse } from '../http/entry.ts'
import { makeBodyRecorder } from './body-recorder.ts'
import {
  cacheRedis,
  makeRedisTier,
  REDIS_TIMEOUT_MS,
  type CacheRedis,
  type RedisPlatform,
  type RedisTier,
} from './cache-redis.ts'
import { encodeHead, type StoredBytes } from './codec.ts'
import { edgeUrl, makeEdgeTier, type EdgeTier } from './edge-tier.ts'

/** The part of `Platform` that the tiers need. */
export interface CachePlatform extends RedisPlatform {
  readonly edgeCache: EdgeCache
}

/** The part of `Exchange` that the tiers need. */
export interface TierExchange {
  readonly waitUntil: (work: Promise<unknown>) => void
}

/** A stored response and its tier. */
export interface FoundResponse extends StoredResponse {
  readonly tier: 'edge' | 'redis'
}

/** The results of storing a response. Neither promise rejects; `waitUntil` holds both. */
export interface Keeping {
  /** True once the response can be read here; false as soon as it is clear that it cannot. */
  readonly kept: Promise<boolean>
  /** True once Redis has the response, so that others can read it; a second after the body is complete at maxBytes. */
  readonly shared: Promise<boolean>
  /** Whether the head or the body is too large for every tier; the size of a body may be known later. Decided before `kept` is. */
  readonly isTooLarge: () => boolean
}

/** A response that streams to its client while it is being stored. */
export interface Filling extends Keeping {
  /** The bytes of the stored body, at the pace of the reader, who must read or cancel it. Null where that was null. */
  readonly body: ReadableStream<Uint8Array> | null
}

/** Stores bytes. Freshness, variants and purges are decided elsewhere. Nothing here rejects. */
export interface Tiers {
  /** Reads from the edge, else from Redis, and then copies to the edge. Undefined when neither has it, or its `keepUntil` is past. */
  readonly read: (key: string, x: TierExchange) => Promise<FoundResponse | undefined>
  /** Whether the response would be stored, judged by the size of its head and the Content-Length of its body. */
  readonly takes: (key: string, stored: StoredResponse) => boolean
  /** Streams `body` to the client, and stores it once the client has read all of it and it is complete. */
  readonly write: (key: string, stored: StoredResponse, x: TierExchange) => Filling
  /** Stores a response that no client waits for. */
  readonly keep: (key: string, stored: StoredResponse, x: TierExchange) => Keeping
  /** Copies from Redis to the edge, within a second; false when Redis does not have it, or it cannot be stored. */
  readonly bring: (key: string) => Promise<boolean>
  /** Removes it here and from Redis, not from the edges of other data centres. False when Redis did not respond: then it may come back. */
  readonly drop: (key: string, x: TierExchange) => Promise<boolean>
  /** The tier that is unreachable now; undefined when there is none. */
  readonly degraded: () => 'upstash' | undefined
}

/** In bytes: one body is limited by the self-hosted edge, all bodies in flight to a quarter of an isolate's memory. */
const BOUNDS = { body: 8 * 1024 ** 2 - 64 * 1024, total: 32 * 1024 ** 2 }

const NOTHING = new Uint8Array()

/** The tiers of a platform, which its routes share: they share the bounds and the state of Redis. */
export const makeTiers = perPlatform((platform: CachePlatform, redis: CacheRedis | undefined = cacheRedis(platform)) =>
  connect(platform, redis),
)

function connect(platform: CachePlatform, connection: CacheRedis | undefined): Tiers {
  const edge = makeEdgeTier(platform.edgeCache, platform.now)
  const redis = connection && makeRedisTier(connection, platform.now)
  const write = makeWriter(edge, redis)
  const promote = (url: string, { head, bytes }: StoredBytes) =>
    edge.write(url, encodeHead(head) ?? '', bytes, head.keepUntil)
  return {
    async read(key, x) {
      const url = edgeUrl(key)
      if (url === undefined) return undefined
      const near = edge.recall(url) ?? (await edge.read(url))
      if (near !== undefined) return near
      const far = await redis?.read(key, x.waitUntil)
      if (far === undefined) return undefined
      x.waitUntil(promote(url, far))
      return { head: far.head, body: far.body, tier: 'redis' }
    },
    takes: (key, stored) => fitted(key, stored) !== undefined,
    write,
    keep(key, stored, x) {
      const { body, kept, shared, isTooLarge } = write(key, stored, x)
      if (body !== null) x.waitUntil(readOut(body.getReader(), kept))
      return { kept, shared, isTooLarge }
    },
    async bring(key) {
      const url = edgeUrl(key)
      const far = url === undefined ? undefined : await redis?.readPatiently(key)
      return far !== undefined && promote(url!, far)
    },
    async drop(key, x) {
      const url = edgeUrl(key)
      if (url === undefined) return true
      const [, isDropped] = await Promise.all([edge.drop(url), redis?.drop(key, x.waitUntil) ?? true])
      return isDropped
    },
    degraded: () => (connection?.failing() ? 'upstash' : undefined),
  }
}

function makeWriter(edge: EdgeTier, redis: RedisTier | undefined): Tiers['write'] {
  const recorder = makeBodyRecorder(BOUNDS)
  return (key, stored, x) => {
    const { body } = stored
    const fit = fitted(key, stored)
    if (fit === undefined)
      return { body, kept: Promise.resolve(false), shared: Promise.resolve(false), isTooLarge: () => true }
    const { url, text, length } = fit
    const { keepUntil } = stored.head
    const recorded = body && recorder.copy(body, length)
    const whole = recorded ? recorded.whole : Promise.resolve(NOTHING)
    const shared = whole.then(async (bytes) => {
      return bytes !== undefined && redis !== undefined && redis.write(key, text, bytes, keepUntil)
    })
    const kept = whole.then(async (bytes) => {
      if (bytes === undefined) return false
      // Without an edge, the requests that wait for this response wait no longer for a hanging Redis than for a read of their own.
      return (
        (await edge.write(url, text, bytes, keepUntil)) || (await withTimeout(REDIS_TIMEOUT_MS, () => shared)) === true
      )
    })
    x.waitUntil(Promise.all([kept, shared]))
    return { body: recorded ? recorded.body : null, kept, shared, isTooLarge: recorded?.isTooLarge ?? (() => false) }
  }
}

/** The form in which a response is stored; undefined where it is known to be too large, or to have a wrong length. */
function fitted(key: string, { head, body }: StoredResponse) {
  const url = edgeUrl(key)
  const text = encodeHead(head)
  const length = statedLength(head)
  const maxBytes = body === null ? 0 : BOUNDS.body
  const isFit = length === undefined || length <= maxBytes
  return url !== undefined && text !== undefined && isFit ? { url, text, length } : undefined
}

/** Reads a body to its end; stops as soon as it is clear that it is not stored. */
async function readOut(reader: ReadableStreamDefaultReader<Uint8Array>, kept: Promise<boolean>): Promise<void> {
  // A body that breaks off is not stored.
  const read = async () => {
    while (!(await reader.read()).done);
  }
  await Promise.race([kept, read().catch(() => {})])
  if (!(await kept)) reader.cancel().catch(() => {})
}

/** The Content-Length, which counts the bytes as encoded, or the length of a part; NaN where it is invalid. */
function statedLength({ headers, part }: StoredHead): number | undefined {
  if (part !== undefined) return part.last - part.first + 1
  const lengths = headers.filter(([name]) => name === 'content-length')
  if (lengths.length === 0) return undefined
  const [[, value] = ['', '']] = lengths
  // Twice, or not a number: no body has that length.
  return lengths.length === 1 && /^\d{1,15}$/.test(value) ? Number(value) : NaN
}
