import { isLogged } from '../telemetry/log-level.ts'
import type { LimitSite } from './stores.ts'
import { limiterTallies } from './tally.ts'

/**
 * Writes a line to standard error when a store stops and when it starts again to answer this isolate, with what each limiter has counted here
 * by then: also how many requests it has let pass `blind`, and how many came without a key.
 */
export function makeStoreLog(site: LimitSite, store: string): (failing: boolean) => void {
  return (failing) => {
    if (!isLogged('warn', site.variable('LOG_LEVEL'))) return
    const time = new Date(site.now()).toISOString()
    const limiters = limiterTallies(site)
    console.warn(JSON.stringify({ time, level: 'warn', event: 'limit-store', store, failing, limiters }))
  }
}
