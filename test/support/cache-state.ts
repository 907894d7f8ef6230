import { env } from 'cloudflare:workers'
import type { Platform } from '../../src/core/platform.ts'
import { makeTestPlatform } from './platform.ts'
import type { TestRedis } from './redis.ts'

let made = 0

/** Objects that nobody else has: those of one deployment, or of one process that shares only its Redis with others. */
export function ownCacheState(name = `state-${made++}`): Platform['cacheCoordinators'] {
  return {
    getByName: (object: string) => env.CACHE_STATE.getByName(`${name}:${object}`),
  } as Platform['cacheCoordinators']
}

/** Objects that do as `call` says, whatever they are asked. */
export function brokenCacheState(call: () => Promise<unknown>): Platform['cacheCoordinators'] {
  return {
    getByName: () => ({ join: call, wait: call, finish: call, purges: call }),
  } as unknown as Platform['cacheCoordinators']
}

/** A platform as one isolate sees it. */
export function cachePlatform(
  cacheState: Platform['cacheCoordinators'],
  redis?: TestRedis,
  parts: Partial<Platform> = {},
): Platform {
  return makeTestPlatform({
    cacheCoordinators: cacheState,
    variable: (name) => (name === 'UPSTASH_REDIS_REST_URL' ? redis?.url : undefined),
    secret: ({ $secret }) => ($secret === 'UPSTASH_REDIS_REST_TOKEN' ? redis?.token : undefined),
    ...parts,
  })
}
