import { env } from 'cloudflare:workers'
import type { Site } from '../../src/core/policy.ts'
import type { TestRedis } from './redis.ts'
import { makeTestSite } from './platform.ts'

let made = 0

/** Objects that nobody else has: those of one deployment, or of one process that shares only its Redis with others. */
export function ownCacheState(name = `state-${made++}`): Site['cacheState'] {
  return { getByName: (object: string) => env.CACHE_STATE.getByName(`${name}:${object}`) } as Site['cacheState']
}

/** Objects that do as `call` says, whatever they are asked. */
export function brokenCacheState(call: () => Promise<unknown>): Site['cacheState'] {
  return { getByName: () => ({ join: call, wait: call, finish: call, purges: call }) } as unknown as Site['cacheState']
}

/** A site as one isolate sees it. */
export function cacheSite(cacheState: Site['cacheState'], redis?: TestRedis, parts: Partial<Site> = {}): Site {
  return makeTestSite({
    cacheState,
    variable: (name) => (name === 'UPSTASH_REDIS_REST_URL' ? redis?.url : undefined),
    secret: ({ $secret }) => ($secret === 'UPSTASH_REDIS_REST_TOKEN' ? redis?.token : undefined),
    ...parts,
  })
}
