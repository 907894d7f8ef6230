import { Hono } from 'hono'
import type { Upstream } from '../upstream/upstream.ts'

/** What in the gateway works only in part, if anything does. */
export interface Degraded {
  readonly upstream: string
  readonly circuit: 'open'
}

/**
 * `{"status":"healthy","timestamp":"<ISO 8601>"}`, or `degraded` with what is. Always 200: the gateway itself answers, and a load balancer that took it
 * out because one upstream is down would take the other upstreams down too.
 */
export function makeHealth(upstreams: readonly Upstream[], now: () => number): Hono {
  return new Hono().all('*', (c) => {
    const degraded = upstreams.flatMap((upstream): Degraded[] =>
      upstream.condition() === 'open' ? [{ upstream: upstream.name, circuit: 'open' }] : [],
    )
    const timestamp = new Date(now()).toISOString()
    const body = degraded.length > 0 ? { status: 'degraded', timestamp, degraded } : { status: 'healthy', timestamp }
    return c.json(body, 200, { 'cache-control': 'no-store' })
  })
}
