import { Ratelimit } from '@upstash/ratelimit'
import { Redis } from '@upstash/redis/cloudflare'
import { type LimiterSpec, type StoreLimiter, type Verdict } from './limiter.ts'
import type { StoreHealth } from './store-health.ts'

/**
 * Counts in Upstash Redis: makes the limiter for a spec. Each numbered window admits at most the limit; the window's number and the age of
 * a bucket come from the isolate's clock, which is how `@upstash/ratelimit` does it.
 */
export function makeUpstashLimits(
  url: string,
  token: string,
  now: () => number,
  health: StoreHealth,
  timeoutMs: number,
): (spec: LimiterSpec) => StoreLimiter {
  const redis = connect(url, token, timeoutMs)
  return (spec) => {
    // The defaults would allow everything after 5 s without Redis, and keep refused keys in an unbounded map.
    const ratelimit =
      redis &&
      new Ratelimit({
        redis,
        limiter: algorithmOf(spec),
        prefix: 'umbral',
        timeout: timeoutMs,
        ephemeralCache: false,
      })
    return {
      async take(key, cost, waitUntil) {
        if (!health.usable()) return undefined
        let verdict: Verdict | undefined
        try {
          const answer = await ratelimit?.limit(key, { rate: cost })
          if (answer) waitUntil(answer.pending)
          if (answer && answer.reason !== 'timeout')
            verdict = {
              allowed: answer.success,
              remaining: answer.remaining,
              resetMs: Math.max(1, answer.reset - now()),
            }
        } catch {
          // Its message repeats the command with the caller's key: it must not get any further.
        }
        health.record(verdict !== undefined)
        return verdict
      },
    }
  }
}

/** A bucket is filled in steps of whole tokens and whole milliseconds: the smallest ones that make `limit` a window. */
function algorithmOf({ limit, windowMs, burst }: LimiterSpec) {
  if (burst === undefined) return Ratelimit.fixedWindow(limit, `${windowMs} ms`)
  const steps = greatestCommonDivisor(limit, windowMs)
  return Ratelimit.tokenBucket(limit / steps, `${windowMs / steps} ms`, burst)
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b)
}

/** Undefined for a URL that the client does not take: such a store never answers. */
function connect(url: string, token: string, timeoutMs: number): Redis | undefined {
  try {
    return new Redis({
      url,
      token,
      retry: false,
      enableTelemetry: false,
      // It would send several requests' commands as one and let them all wait for one request's promise.
      enableAutoPipelining: false,
      // The limiter's own timeout has answered by then; this one only gives the connection back.
      signal: () => AbortSignal.timeout(2 * timeoutMs),
    })
  } catch {
    return undefined
  }
}
