import { Hono } from 'hono'
import type { Platform } from '../core/platform.ts'
import { limitStores } from '../limits/store/stores.ts'
import type { Upstream } from '../upstream/upstream.ts'

/** One thing that works only in part, by its name in routes.json; as far as the isolate that answers knows. */
export type DegradedStore =
  | { readonly upstream: string; readonly circuit: 'open' }
  /** Its breaker's state cannot be reached: this isolate decides alone. */
  | { readonly upstream: string; readonly breakerStore: 'unreachable' }
  /** Strict limits are answered by their `onStoreError`. */
  | { readonly limitStore: 'upstash' | 'durable-objects' }

/**
 * `{"status":"healthy","timestamp":"<ISO 8601>"}`, or `degraded` with what is. Always 200: the gateway itself answers, and a load balancer that took it
 * out because one upstream is down would take the other upstreams down too.
 */
export function makeHealth(upstreams: readonly Upstream[], platform: Platform): Hono {
  const stores = limitStores(platform)
  return new Hono().all('*', (c) => {
    const store = stores.degraded()
    const degraded = [...upstreams.flatMap(degradedParts), ...(store === undefined ? [] : [{ limitStore: store }])]
    const timestamp = new Date(platform.now()).toISOString()
    const body = degraded.length > 0 ? { status: 'degraded', timestamp, degraded } : { status: 'healthy', timestamp }
    return c.json(body, 200, { 'cache-control': 'no-store' })
  })
}

function degradedParts(upstream: Upstream): DegradedStore[] {
  const { name } = upstream
  const found: DegradedStore[] = []
  if (upstream.condition() === 'open') found.push({ upstream: name, circuit: 'open' })
  if (upstream.breakerStore() === 'unreachable') found.push({ upstream: name, breakerStore: 'unreachable' })
  return found
}
