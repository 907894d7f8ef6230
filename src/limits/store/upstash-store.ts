import type { Redis } from '@upstash/redis/cloudflare'
import { connectRedis } from '../../lib/redis.ts'
import { makeStoreHealth } from '../../lib/store-health.ts'
import {
  algorithmOf,
  leaseMs,
  PROBE,
  type LimiterSpec,
  type LimitStore,
  type StoreCounters,
  type TakeGrant,
  type TakeRequest,
} from '../limiter.ts'
import { compileScriptCall, type ScriptCall } from './scripts.ts'

/** Rows of one limiter in Redis, about 200 bytes each; rows that live through two periods count twice. Keys beyond share one row. */
const MAX_ROWS = 500_000

interface RedisGrant extends TakeGrant {
  readonly overflowed: boolean
}

/**
 * Counts in Redis behind Upstash's protocol, at Redis' own time, by the scripts in scripts.ts. Whatever is no complete grant of a script
 * (an error, a page of HTML, a hang) is no response.
 */
export function makeUpstashStore(
  url: string,
  token: string,
  now: () => number,
  counters: StoreCounters,
  timeoutMs: number,
  maxRows = MAX_ROWS,
): LimitStore {
  const redis = connectRedis(url, token, 2 * timeoutMs)
  const health = makeStoreHealth(now, timeoutMs, counters.turned)
  const compile = (spec: LimiterSpec) => {
    const question = compileScriptCall(spec, maxRows)
    return async (key: string, ask: TakeRequest) => redis && parseGrant(await run(redis, question, key, ask), spec, ask)
  }
  const sendProbe = compile(PROBE.spec)
  const probe = () => sendProbe(PROBE.key, PROBE.ask)
  return {
    failing: health.failing,
    counter: (spec) => {
      const send = compile(spec)
      return {
        async take(key, ask, waitUntil) {
          const grant = await health.call(() => send(key, ask), probe, waitUntil)
          if (grant?.overflowed) counters.overflows++
          return grant
        },
      }
    },
  }
}

/** By the script's name, and once more by its text when Redis does not know it: after a restart, or the first time. */
async function run(redis: Redis, { script, keys, args }: ScriptCall, key: string, ask: TakeRequest): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha, keys(key), args(ask))
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    return redis.eval(script.text, keys(key), args(ask))
  }
}

function parseGrant(reply: unknown, spec: LimiterSpec, { want, atLeast }: TakeRequest): RedisGrant | undefined {
  if (!Array.isArray(reply) || reply.length !== 5 || !reply.every(isCount)) return undefined
  const [granted, remaining, resetMs, storeNow, overflowed] = reply as [number, number, number, number, number]
  if (granted > want || (granted > 0 && granted < atLeast)) return undefined
  const expiresMs = algorithmOf(spec) === 'fixed-window' ? Math.min(leaseMs(spec), resetMs) : leaseMs(spec)
  return { granted, remaining, resetMs, storeNow, expiresMs, overflowed: overflowed === 1 }
}

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0
