import type { Redis } from '@upstash/redis/cloudflare'
import { perPlatform } from '../../core/platform.ts'
import { connectRedis } from '../../lib/redis.ts'
import { makeStoreHealth } from '../../lib/store-health.ts'
import { withTimeout } from '../../lib/time.ts'
import { logEvent, reasonOf } from '../../telemetry/events.ts'
import { decodeEntry, encodeEntry, entryBytes, type StoredBytes } from './codec.ts'

/** The part of `Platform` with the address of Redis. */
export interface RedisPlatform {
  readonly now: () => number
  readonly variable: (name: string) => string | undefined
  readonly secret: (ref: { $secret: string }) => string | undefined
}

/** The cache's client of Redis behind Upstash's protocol. */
export interface CacheRedis {
  /**
   * The response to `send`; a null of Redis is a response. Undefined when there was none within 100 ms, and at once during the pause after
   * three failures in a row. Never rejects.
   */
  readonly ask: <T>(
    send: (redis: Redis) => Promise<T>,
    waitUntil: (work: Promise<unknown>) => void,
  ) => Promise<T | undefined>
  /** The response to `send` within a second, for work in the background; nothing is sent during a pause. Never rejects. */
  readonly tell: <T>(send: (redis: Redis) => Promise<T>) => Promise<T | undefined>
  /** True from the failure that started a pause until Redis responds again. */
  readonly failing: () => boolean
}

/**
 * The timeout of a call of Redis, milliseconds. An origin is rarely farther away than that: after it, a request to the origin is
 * faster.
 */
export const REDIS_TIMEOUT_MS = 100

/** The timeout of a large entry: it may take that long to a Redis that is far away and healthy. */
const WRITE_TIMEOUT_MS = 1_000

/** The Redis of a platform, which its routes share, with the state of its failures; undefined where none is configured. */
export const cacheRedis = perPlatform(connect)

function connect(platform: RedisPlatform): CacheRedis | undefined {
  const url = platform.variable('UPSTASH_REDIS_REST_URL')
  const token = platform.secret({ $secret: 'UPSTASH_REDIS_REST_TOKEN' })
  const redis = url !== undefined && token !== undefined ? connectRedis(url, token, WRITE_TIMEOUT_MS) : undefined
  if (redis === undefined) return undefined
  const health = makeStoreHealth(platform.now, REDIS_TIMEOUT_MS, (failing, error) => {
    const fields = { store: 'cache-upstash', ...(failing && { reason: reasonOf(error) }) }
    logEvent(failing ? 'store-down' : 'store-back', fields, platform.variable('LOG_LEVEL'), platform.now())
  })
  const probe = () => redis.ping()
  return {
    failing: health.failing,
    ask: (send, waitUntil) => health.call(() => send(redis), probe, waitUntil),
    tell: async (send) => (health.failing() ? undefined : withTimeout(WRITE_TIMEOUT_MS, () => send(redis))),
  }
}

/** Stored responses in Redis, which all data centres share. Never rejects. */
export interface RedisTier {
  readonly read: (key: string, waitUntil: WaitUntil) => Promise<StoredBytes | undefined>
  /** Within a second, for a request that reads for many. */
  readonly readPatiently: (key: string) => Promise<StoredBytes | undefined>
  /** `head` by `encodeHead`; false when it was not stored, or is too large. */
  readonly write: (key: string, head: string, bytes: Uint8Array, keepUntil: number) => Promise<boolean>
  /** False when Redis did not respond. */
  readonly drop: (key: string, waitUntil: WaitUntil) => Promise<boolean>
}

type WaitUntil = (work: Promise<unknown>) => void

/** The size of an encoded entry, the most that Upstash's smallest plan accepts in one request: a body of 3/4 of that. */
const MAX_ENTRY_BYTES = 1024 * 1024

const PREFIX = 'umbral:cache:'

/** `now` in epoch milliseconds. An entry expires in Redis at its `keepUntil`; one of more than 1 MiB encoded is not written. */
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
