import type { StoredHead, StoredResponse } from '../../src/cache/http/entry.ts'
import { makeTiers, type CachePlatform } from '../../src/cache/store/tiers.ts'
import { makeTestExchange } from './exchange.ts'
import { makeTestPlatform } from './platform.ts'
import type { TestRedis } from './redis.ts'

/** When this file began. */
export const NOW = Date.now()

/** Of a 200 that is kept for a minute from `NOW`. */
export function head(parts: Partial<StoredHead> = {}): StoredHead {
  return {
    v: 1,
    status: 200,
    headers: [['content-type', 'text/plain']],
    requestTime: NOW,
    responseTime: NOW,
    url: 'https://gw.test/a',
    tags: ['a'],
    keepUntil: NOW + 60_000,
    ...parts,
  }
}

/** No two neighbours alike. */
export const bytesOf = (size: number) => Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 0xff)

/** In chunks, as from an origin; `fault` instead of an end. */
export function streamOf(bytes: Uint8Array, fault?: Error, chunk = 10_000): ReadableStream<Uint8Array> {
  let at = 0
  return new ReadableStream<Uint8Array>({
    pull(stream) {
      if (at < bytes.byteLength) return stream.enqueue(bytes.slice(at, (at += chunk)))
      if (fault === undefined) stream.close()
      else stream.error(fault)
    },
  })
}

export const readAll = async (body: ReadableStream<Uint8Array> | null) =>
  new Uint8Array(await new Response(body).arrayBuffer())

/** The tiers of an isolate of its own, which shares the edge with all others of this file. */
export function isolate(redis?: TestRedis, parts: Partial<CachePlatform> = {}) {
  const platform = makeTestPlatform({
    variable: (name) => (name === 'UPSTASH_REDIS_REST_URL' ? redis?.url : undefined),
    secret: () => redis?.token,
    ...parts,
  })
  const x = makeTestExchange()
  const tiers = makeTiers(platform)
  return {
    tiers,
    settled: x.settled,
    read: (key: string) => tiers.read(key, x),
    write: (key: string, stored: StoredResponse) => tiers.write(key, stored, x),
    keep: (key: string, stored: StoredResponse) => tiers.keep(key, stored, x).kept,
    drop: (key: string) => tiers.drop(key, x),
    has: async (key: string) => {
      const found = await tiers.read(key, x)
      await found?.body?.cancel()
      return found?.tier
    },
  }
}

/** An edge that has nothing and takes nothing, as that of another data centre. */
export const FAR_AWAY: CachePlatform['edgeCache'] = {
  match: () => Promise.resolve(undefined),
  put: () => Promise.resolve(),
  delete: () => Promise.resolve(false),
}

let nth = 0
/** One that no other test has. */
export const newKey = () => `key ${nth++} of ${crypto.randomUUID()}`
