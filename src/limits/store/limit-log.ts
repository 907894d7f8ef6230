import { perPlatformAndName } from '../../core/platform.ts'
import { isLogged } from '../../telemetry/access-log.ts'
import type { LimitPlatform } from '../limiter.ts'

/** What an operator is told on standard error, in lines of JSON. `LOG_LEVEL` `error` or `silent` leaves it out. */
export interface LimitLog {
  /** A store has stopped to answer this isolate, or answers again: with what each limiter has counted here by then. */
  readonly turned: (failing: boolean) => void
  /** Called with each request. A line with the limiters of which more is amiss than there was in the last one, but only one a minute. */
  readonly logHealth: () => void
}

const LINE_INTERVAL_MS = 60_000

/** Looking through 1,000 limiters takes about 0.1 ms. */
const LOOK_INTERVAL_MS = 1_000

/** Tells of `platform`, whose limiters count in `store`; `overflows` is how many requests found no room for their key. */
export function makeLimitLog(platform: LimitPlatform, store: string, overflows: () => number): LimitLog {
  const write = (event: string, limiters: object, rest: object) => {
    const time = new Date(platform.now()).toISOString()
    console.warn(JSON.stringify({ time, level: 'warn', event, ...rest, overflows: overflows(), limiters }))
  }
  if (!isLogged('warn', platform.variable('LOG_LEVEL'))) return { turned: () => {}, logHealth: () => {} }
  const told = new Map<string, number>()
  let lookedAt = -Infinity
  let wroteAt = -Infinity
  let toldOverflows = 0
  return {
    turned: (failing) => write('limit-store', limiterCounters.all(platform), { store, failing }),
    logHealth() {
      const now = platform.now()
      // The distance, because a clock may step back.
      if (Math.abs(now - wroteAt) < LINE_INTERVAL_MS || Math.abs(now - lookedAt) < LOOK_INTERVAL_MS) return
      lookedAt = now
      const risen = Object.entries(limiterCounters.all(platform)).filter(
        ([name, tally]) => amiss(tally) > (told.get(name) ?? 0),
      )
      if (risen.length === 0 && overflows() === toldOverflows) return
      wroteAt = now
      toldOverflows = overflows()
      for (const [name, tally] of risen) told.set(name, amiss(tally))
      write('limits', Object.fromEntries(risen), {})
    },
  }
}

/** What no client is told, and somebody ought to know. */
function amiss({ missingKeys, shadowRefused, storeFailures, uncharged }: LimiterCounters): number {
  return missingKeys + shadowRefused + storeFailures + uncharged
}

/** What became of the requests that one limiter was asked about, in this isolate since its start, for metrics. */
export interface LimiterCounters {
  /** Requests that this limiter let pass, whatever those after it said; a limiter in shadow mode would have. */
  admitted: number
  /** Requests that it refused. */
  refused: number
  /** Requests that it would have refused, were it not in shadow mode. */
  shadowRefused: number
  /** Requests that its store did not answer, so that `onStoreError` did. */
  storeFailures: number
  /** Those of them that were let pass. */
  blind: number
  /** Requests without a value for a part of its key: they share one count. */
  missingKeys: number
  /** What answers cost above what could still be taken, in units of cost. */
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
