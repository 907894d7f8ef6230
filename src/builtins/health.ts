import { Hono } from 'hono/tiny'
import type { Platform } from '../core/platform.ts'
import { limitStores } from '../limits/store/stores.ts'
import type { Upstream } from '../upstream/upstream.ts'

/** One degraded dependency, by its name in routes.json, as the responding isolate sees it. */
export type DegradedStore =
  | { readonly upstream: string; readonly circuit: 'open' }
  /** The breaker's Durable Object is unreachable: this isolate decides alone. */
  | { readonly upstream: string; readonly breakerStore: 'unreachable' }
  /** The store is unreachable: strict limits apply their `onStoreError`. */
  | { readonly limitStore: 'upstash' | 'durable-objects' }

/**
 * Responds with `{"status":"healthy","timestamp":"<ISO 8601>"}`, or with `degraded` and the list. Always 200: a load balancer that removed
 * the gateway because one upstream is down would cut off the other upstreams too.
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
  const parts: DegradedStore[] = []
  if (upstream.condition() === 'open') parts.push({ upstream: name, circuit: 'open' })
  if (upstream.breakerStore() === 'unreachable') parts.push({ upstream: name, breakerStore: 'unreachable' })
  return parts
}
