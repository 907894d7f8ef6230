import { Redis } from '@upstash/redis/cloudflare'
import {
  type Ask,
  algorithmOf,
  type Grant,
  leaseMs,
  type LimiterSpec,
  type LimitStore,
  type LimitTally,
} from './limiter.ts'
import { compileQuestion, type Question } from './scripts.ts'
import { makeStoreHealth, PROBE } from './store-health.ts'

/** Rows of one limiter in Redis, about 200 bytes each; rows that live through two periods count twice. Keys beyond share one row. */
const MAX_ROWS = 500_000

interface RedisGrant extends Grant {
  readonly overflowed: boolean
}

/**
 * Counts in Redis behind Upstash's protocol, at Redis' own time, by the scripts in scripts.ts. Whatever is no complete answer of a script
 * (an error, a page of HTML, a hang) is no answer.
 */
export function makeUpstashStore(
  url: string,
  token: string,
  now: () => number,
  tally: LimitTally,
  timeoutMs: number,
  maxRows = MAX_ROWS,
): LimitStore {
  const redis = connect(url, token, timeoutMs)
  const health = makeStoreHealth(now, timeoutMs, tally.turned)
  const compile = (spec: LimiterSpec) => {
    const question = compileQuestion(spec, maxRows)
    return async (key: string, ask: Ask) => redis && parseGrant(await run(redis, question, key, ask), spec, ask)
  }
  const sendProbe = compile(PROBE.spec)
  const probe = () => sendProbe(PROBE.key, PROBE.ask)
  return {
    failing: health.failing,
    counter: (spec) => {
      const send = compile(spec)
      return {
        async take(key, ask, waitUntil) {
          const answer = await health.ask(() => send(key, ask), probe, waitUntil)
          if (answer?.overflowed) tally.overflows++
          return answer
        },
      }
    },
  }
}

/** By the script's name, and once more by its text when Redis does not know it: after a restart, or the first time. */
async function run(redis: Redis, { script, keys, args }: Question, key: string, ask: Ask): Promise<unknown> {
  try {
    return await redis.evalsha(script.sha, keys(key), args(ask))
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    return redis.eval(script.text, keys(key), args(ask))
  }
}

function parseGrant(reply: unknown, spec: LimiterSpec, { want, atLeast }: Ask): RedisGrant | undefined {
  if (!Array.isArray(reply) || reply.length !== 5 || !reply.every(isCount)) return undefined
  const [granted, remaining, resetMs, storeNow, overflowed] = reply as [number, number, number, number, number]
  if (granted > want || (granted > 0 && granted < atLeast)) return undefined
  const expiresMs = algorithmOf(spec) === 'fixed-window' ? Math.min(leaseMs(spec), resetMs) : leaseMs(spec)
  return { granted, remaining, resetMs, storeNow, expiresMs, overflowed: overflowed === 1 }
}

const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0

/** Undefined for a URL that the client does not take: such a store never answers. */
function connect(url: string, token: string, timeoutMs: number): Redis | undefined {
  try {
    return new Redis({
      url,
      token,
      // Not `false`, which is one more try: whoever waits for this one will not wait for the next.
      retry: { retries: 0 },
      enableTelemetry: false,
      readYourWrites: false,
      // Only numbers come back.
      responseEncoding: false,
      automaticDeserialization: false,
      // It would send several requests' commands as one and let them all wait for one request's promise.
      enableAutoPipelining: false,
      // `StoreHealth` has answered by then; this one only gives the connection back.
      signal: () => AbortSignal.timeout(2 * timeoutMs),
    })
  } catch {
    return undefined
  }
}
