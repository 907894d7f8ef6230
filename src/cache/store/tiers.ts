import { perPlatform } from '../../core/platform.ts'
import { withTimeout } from '../../lib/time.ts'
import type { EdgeCache } from '../api.ts'
import type { StoredHead, StoredResponse } from '../http/entry.ts'
import { makeBodyRecorder } from './body-recorder.ts'
import { cacheRedis, makeRedisTier, REDIS_TIMEOUT_MS, type CacheRedis, type RedisPlatform } from './cache-redis.ts'
import { encodeHead, type StoredBytes } from './codec.ts'
import { edgeUrl, makeEdgeTier } from './edge-tier.ts'

/** The part of `Platform` that the tiers need. */
export interface CachePlatform extends RedisPlatform {
  readonly edgeCache: EdgeCache
}

/** The part of `Exchange` that the tiers need. */
export interface TierExchange {
  readonly waitUntil: (work: Promise<unknown>) => void
}

/** A stored answer, and where it was; its body is null when it has no bytes. */
export interface Found extends StoredResponse {
  readonly tier: 'edge' | 'redis'
}

/** What becomes of an answer that is being stored. Neither rejects; `waitUntil` has both. */
export interface Keeping {
  /** True once it can be read here; false, as soon as that is clear, when it cannot. */
  readonly kept: Promise<boolean>
  /** True once Redis has it, where others can read it too; a second after it is whole at most. */
  readonly shared: Promise<boolean>
  /** Whether no tier takes what is so large: the head, or the body, of which it can be known only later. Known before `kept` is. */
  readonly isTooLarge: () => boolean
}

/** An answer that goes to its client while it is being stored. */
export interface Filling extends Keeping {
  /** The same bytes as the stored body's, at the pace of whoever reads them: read it or cancel it. Null where that was null. */
  readonly body: ReadableStream<Uint8Array> | null
}

/** Keeps bytes and decides nothing: freshness, variants and purges are others' business. Nothing here ever rejects. */
export interface Tiers {
  /** From the edge, else from Redis, which brings it to the edge. Undefined when neither has it, or its `keepUntil` is past. */
  readonly read: (key: string, x: TierExchange) => Promise<Found | undefined>
  /** Whether it would be stored, as far as its head tells: how large that is, and what it says of the body's length. */
  readonly takes: (key: string, stored: StoredResponse) => boolean
  /** Gives `body` to the client, and stores it once the client has taken all of it and it is whole. */
  readonly write: (key: string, stored: StoredResponse, x: TierExchange) => Filling
  /** Stores what no client waits for. */
  readonly keep: (key: string, stored: StoredResponse, x: TierExchange) => Keeping
  /** Brings to the edge what Redis has, for which it waits for a second; false when it is not there, or cannot be. */
  readonly bring: (key: string) => Promise<boolean>
  /** Removes it here and from Redis, not from the edges of other data centres. False when Redis could not be told: then it may come back. */
  readonly drop: (key: string, x: TierExchange) => Promise<boolean>
  /** The tier that cannot be reached now; undefined when all is well. */
  readonly degraded: () => 'upstash' | undefined
}

/** One body is at most what the self-hosted edge takes; all that are under way, a quarter of what an isolate may use. */
const BOUNDS = { body: 8 * 1024 ** 2 - 64 * 1024, total: 32 * 1024 ** 2 }

const NOTHING = new Uint8Array()

/** The tiers of a platform, which its routes share: they share the bounds and learn together that Redis is down. */
export const makeTiers = perPlatform((platform: CachePlatform, redis: CacheRedis | undefined = cacheRedis(platform)) =>
  connect(platform, redis),
)

function connect(platform: CachePlatform, connection: CacheRedis | undefined): Tiers {
  const edge = makeEdgeTier(platform.edgeCache, platform.now)
  const redis = connection && makeRedisTier(connection, platform.now)
  const copies = makeBodyRecorder(BOUNDS)
  const promote = (url: string, { head, bytes }: StoredBytes) =>
    edge.write(url, encodeHead(head) ?? '', bytes, head.keepUntil)

  const read: Tiers['read'] = async (key, x) => {
    const url = edgeUrl(key)
    if (url === undefined) return undefined
    const near = await edge.read(url)
    if (near !== undefined) return { ...near, tier: 'edge' }
    const far = await redis?.read(key, x.waitUntil)
    if (far === undefined) return undefined
    x.waitUntil(promote(url, far))
    return { head: far.head, body: far.body, tier: 'redis' }
  }

  const write: Tiers['write'] = (key, stored, x) => {
    const { body } = stored
    const fit = fitted(key, stored)
    if (fit === undefined)
      return { body, kept: Promise.resolve(false), shared: Promise.resolve(false), isTooLarge: () => true }
    const { url, text, length } = fit
    const { keepUntil } = stored.head
    const copied = body && copies.copy(body, length)
    const whole = copied ? copied.whole : Promise.resolve(NOTHING)
    const shared = whole.then(async (bytes) => {
      return bytes !== undefined && redis !== undefined && redis.write(key, text, bytes, keepUntil)
    })
    const kept = whole.then(async (bytes) => {
      if (bytes === undefined) return false
      // Without an edge, those who wait for this answer wait no longer for a Redis that hangs than when they ask it themselves.
      return (
        (await edge.write(url, text, bytes, keepUntil)) || (await withTimeout(REDIS_TIMEOUT_MS, () => shared)) === true
      )
    })
    x.waitUntil(Promise.all([kept, shared]))
    return { body: copied ? copied.body : null, kept, shared, isTooLarge: copied ? copied.isTooLarge : () => false }
  }

  return {
    read,
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
      const [, told] = await Promise.all([edge.drop(url), redis?.drop(key, x.waitUntil) ?? true])
      return told
    },
    degraded: () => (connection?.failing() ? 'upstash' : undefined),
  }
}

/** How it is stored; undefined for what is known beforehand to be too large, or to have another length than it says. */
function fitted(key: string, { head, body }: StoredResponse) {
  const url = edgeUrl(key)
  const text = encodeHead(head)
  const length = statedLength(head)
  const most = body === null ? 0 : BOUNDS.body
  const isFit = length === undefined || length <= most
  return url !== undefined && text !== undefined && isFit ? { url, text, length } : undefined
}

/** What will not be stored is not read any further. */
async function readOut(reader: ReadableStreamDefaultReader<Uint8Array>, kept: Promise<boolean>): Promise<void> {
  // A body that breaks is not kept.
  const read = async () => {
    while (!(await reader.read()).done);
  }
  await Promise.race([kept, read().catch(() => {})])
  if (!(await kept)) reader.cancel().catch(() => {})
}

/** Of the bytes as they come, which are compressed where the head says so. */
function statedLength({ headers }: StoredHead): number | undefined {
  const lengths = headers.filter(([name]) => name === 'content-length')
  if (lengths.length === 0) return undefined
  const [[, value] = ['', '']] = lengths
  // Said twice, or no number: no body has that length.
  return lengths.length === 1 && /^\d{1,15}$/.test(value) ? Number(value) : NaN
}
