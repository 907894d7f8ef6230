import type { Redis } from '@upstash/redis/cloudflare'
import { perPlatform } from '../../core/platform.ts'
import { connectRedis } from '../../lib/redis.ts'
import { makeStoreHealth } from '../../lib/store-health.ts'
import { withTimeout } from '../../lib/time.ts'
import { decodeEntry, encodeEntry, entryBytes, type StoredBytes } from './codec.ts'

/** The part of `Platform` that tells where Redis is. */
export interface RedisPlatform {
  readonly now: () => number
  readonly variable: (name: string) => string | undefined
  readonly secret: (ref: { $secret: string }) => string | undefined
}

/** Redis behind Upstash's protocol, as the cache asks it. */
export interface CacheRedis {
  /**
   * What `send` answers; a null of Redis is an answer. Undefined when there was none within 100 ms, and at once while Redis rests after
   * three failures in a row. Never rejects.
   */
  readonly ask: <T>(
    send: (redis: Redis) => Promise<T>,
    waitUntil: (work: Promise<unknown>) => void,
  ) => Promise<T | undefined>
  /** What `send` answers within a second, for work that nobody waits for; nothing is sent while Redis rests. Never rejects. */
  readonly tell: <T>(send: (redis: Redis) => Promise<T>) => Promise<T | undefined>
  /** True from the failure that made it rest until it answers again. */
  readonly failing: () => boolean
}

/**
 * How long anything waits for Redis, milliseconds. An origin is not much further away than that: above it, asking the origin is the
 * better way.
 */
export const REDIS_TIMEOUT_MS = 100

/** A large entry may take that long to a Redis that is far away, which is no sign of its being ill. */
const WRITE_TIMEOUT_MS = 1_000

/** The Redis of a platform, which its routes share, so that they learn together that it is down; undefined where none is configured. */
export const cacheRedis = perPlatform(connect)

function connect(platform: RedisPlatform): CacheRedis | undefined {
  const url = platform.variable('UPSTASH_REDIS_REST_URL')
  const token = platform.secret({ $secret: 'UPSTASH_REDIS_REST_TOKEN' })
  const redis = url !== undefined && token !== undefined ? connectRedis(url, token, WRITE_TIMEOUT_MS) : undefined
  if (redis === undefined) return undefined
  const health = makeStoreHealth(platform.now, REDIS_TIMEOUT_MS)
  const probe = () => redis.ping()
  return {
    failing: health.failing,
    ask: (send, waitUntil) => health.call(() => send(redis), probe, waitUntil),
    tell: async (send) => (health.failing() ? undefined : withTimeout(WRITE_TIMEOUT_MS, () => send(redis))),
  }
}

/** Answers in Redis, which all data centres share. Never rejects. */
export interface RedisTier {
  readonly read: (key: string, waitUntil: WaitUntil) => Promise<StoredBytes | undefined>
  /** Within a second, for one who reads for many. */
  readonly readPatiently: (key: string) => Promise<StoredBytes | undefined>
  /** `head` by `encodeHead`; false when it was not taken, or is too large. */
  readonly write: (key: string, head: string, bytes: Uint8Array, keepUntil: number) => Promise<boolean>
  /** False when Redis could not be told. */
  readonly drop: (key: string, waitUntil: WaitUntil) => Promise<boolean>
}

type WaitUntil = (work: Promise<unknown>) => void

/** As it is sent, which is what the smallest plan of Upstash takes in one request: a body of 3/4 of that. */
const MAX_ENTRY_BYTES = 1024 * 1024

const PREFIX = 'umbral:cache:'

/** `now` in epoch milliseconds. An entry goes from Redis at its `keepUntil`; one that is over 1 MiB as it is sent is not written. */
export function makeRedisTier(redis: CacheRedis, now: () => number): RedisTier {
  const get = (key: string) => (client: Redis) => client.get(PREFIX + key)
  const decode = (text: unknown) => (typeof text === 'string' ? decodeEntry(text, now()) : undefined)
  return {
    read: async (key, waitUntil) => decode(await redis.ask(get(key), waitUntil)),
    readPatiently: async (key) => decode(await redis.tell(get(key))),
    async write(key, head, bytes, keepUntil) {
      const px = Math.ceil(keepUntil - now())
      if (px <= 0 || entryBytes(head, bytes) > MAX_ENTRY_BYTES) return false
      return (await redis.tell((client) => client.set(PREFIX + key, encodeEntry(head, bytes), { px }))) === 'OK'
    },
    async drop(key, waitUntil) {
      return (await redis.ask((client) => client.del(PREFIX + key), waitUntil)) !== undefined
    },
  }
}
