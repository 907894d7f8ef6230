import type { Redis } from '@upstash/redis/cloudflare'
import { decodeEntry, encodeEntry, entryBytes, type StoredBytes } from './codec.ts'
import type { CacheRedis } from './cache-redis.ts'

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
