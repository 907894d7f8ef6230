import { isLogged } from '../../telemetry/log-level.ts'
import type { LimitPlatform } from './stores.ts'
import { limiterTallies, type LimiterTally } from '../counters.ts'

/** What an operator is told on standard error, in lines of JSON. `LOG_LEVEL` `error` or `silent` leaves it out. */
export interface LimitLog {
  /** A store has stopped to answer this isolate, or answers again: with what each limiter has counted here by then. */
  readonly turned: (failing: boolean) => void
  /** Called with each request. A line with the limiters of which more is amiss than there was in the last one, but only one a minute. */
  readonly look: () => void
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
  if (!isLogged('warn', platform.variable('LOG_LEVEL'))) return { turned: () => {}, look: () => {} }
  const told = new Map<string, number>()
  let lookedAt = -Infinity
  let wroteAt = -Infinity
  let toldOverflows = 0
  return {
    turned: (failing) => write('limit-store', limiterTallies(platform), { store, failing }),
    look() {
      const now = platform.now()
      // The distance, because a clock may step back.
      if (Math.abs(now - wroteAt) < LINE_INTERVAL_MS || Math.abs(now - lookedAt) < LOOK_INTERVAL_MS) return
      lookedAt = now
      const risen = Object.entries(limiterTallies(platform)).filter(
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
function amiss({ missingKeys, shadowRefused, storeFailures, uncharged }: LimiterTally): number {
  return missingKeys + shadowRefused + storeFailures + uncharged
}
