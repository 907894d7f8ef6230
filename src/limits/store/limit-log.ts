import { perPlatformAndName } from '../../core/platform.ts'
import { isLogged } from '../../telemetry/access-log.ts'
import { logEvent, reasonOf } from '../../telemetry/events.ts'
import type { LimitPlatform } from '../limiter.ts'

/** Warnings for operators on standard error, in lines of JSON. None with `LOG_LEVEL` `error` or `silent`. */
export interface LimitLog {
  /** A store no longer responds to this isolate, or responds again: with the counters of each limiter. */
  readonly turned: (failing: boolean, error?: unknown) => void
  /** Called with each request. Writes a line with the limiters that have more problems than in the last line, at most once a minute. */
  readonly logHealth: () => void
}

const LINE_INTERVAL_MS = 60_000

/** A scan of 1,000 limiters takes about 0.1 ms. */
const LOOK_INTERVAL_MS = 1_000

/** Makes the log of `platform`, whose limiters count in `store`; `overflows` is the number of requests that found no room for their key. */
export function makeLimitLog(platform: LimitPlatform, store: string, overflows: () => number): LimitLog {
  const write = (limiters: object) => {
    const time = new Date(platform.now()).toISOString()
    console.warn(JSON.stringify({ time, level: 'warn', event: 'limits', overflows: overflows(), limiters }))
  }
  if (!isLogged('warn', platform.variable('LOG_LEVEL'))) return { turned: () => {}, logHealth: () => {} }
  const reported = new Map<string, number>()
  let lookedAt = -Infinity
  let wroteAt = -Infinity
  let toldOverflows = 0
  return {
    turned: (failing, error) => {
      const reason = failing ? { reason: reasonOf(error) } : {}
      const counts = { overflows: overflows(), limiters: limiterCounters.all(platform) }
      const fields = { store: `limits-${store}`, ...reason, ...counts }
      logEvent(failing ? 'store-down' : 'store-back', fields, platform.variable('LOG_LEVEL'), platform.now())
    },
    logHealth() {
      const now = platform.now()
      // The distance, because a clock may step back.
      if (Math.abs(now - wroteAt) < LINE_INTERVAL_MS || Math.abs(now - lookedAt) < LOOK_INTERVAL_MS) return
      lookedAt = now
      const risen = Object.entries(limiterCounters.all(platform)).filter(
        ([name, counters]) => problemCount(counters) > (reported.get(name) ?? 0),
      )
      if (risen.length === 0 && overflows() === toldOverflows) return
      wroteAt = now
      toldOverflows = overflows()
      for (const [name, counters] of risen) reported.set(name, problemCount(counters))
      write(Object.fromEntries(risen))
    },
  }
}

/** The number of problems that no response shows. */
function problemCount({ missingKeys, shadowRefused, storeFailures, uncharged }: LimiterCounters): number {
  return missingKeys + shadowRefused + storeFailures + uncharged
}

/** The decisions of one limiter in this isolate since its start, for metrics. */
export interface LimiterCounters {
  /** Requests that this limiter admitted, or would have admitted in shadow mode. Limiters after it may have refused them. */
  admitted: number
  /** Requests that it refused. */
  refused: number
  /** Requests that it would have refused, were it not in shadow mode. */
  shadowRefused: number
  /** Requests for which its store did not respond, so `onStoreError` decided. */
  storeFailures: number
  /** Those of them that were admitted. */
  blind: number
  /** Requests without a value for a part of its key: they share one count. */
  missingKeys: number
  /** The cost of responses above the tokens that were left, in units of cost. */
  uncharged: number
}

/** The counters of a limiter, by its name; routes with a limiter of the same name share them. */
export const limiterCounters = perPlatformAndName<object, LimiterCounters>(() => ({
  admitted: 0,
  refused: 0,
  shadowRefused: 0,
  storeFailures: 0,
  blind: 0,
  missingKeys: 0,
  uncharged: 0,
}))
