import type { Exchange } from '../../core/exchange.ts'
import type { Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { distance, remaining, type Interval } from '../../lib/time.ts'
import type { BreakerClient } from './breaker-client.ts'
import { PROBE_LEASE_MS, type ProbeResult } from './breaker-state.ts'

/** Whether a request may go to the upstream. `retryAfter` is in milliseconds, 0 when a probe is due. */
export type BreakerAdmission =
  | { readonly kind: 'pass' }
  | { readonly kind: 'probe'; readonly lease: string }
  | { readonly kind: 'refuse'; readonly retryAfter: number }

/** One isolate's snapshot of a breaker: it decides at once from the last update, and reports in `waitUntil`. */
export interface BreakerSnapshot {
  readonly admit: (x: Exchange, now: number) => BreakerAdmission
  readonly record: (x: Exchange, failed: boolean, slow: boolean, now: number) => void
  /** Returns the lease of a probe with its result. */
  readonly settle: (x: Exchange, lease: string, result: ProbeResult) => Promise<void>
  readonly isOpen: () => boolean
}

const PASS: BreakerAdmission = { kind: 'pass' }

/** Makes the snapshot over `client`; an update that is older than `maxOpenMs` milliseconds no longer counts. */
export function makeBreakerSnapshot(client: BreakerClient, maxOpenMs: number): BreakerSnapshot {
  const admitWhenOpen = (x: Exchange, open: Interval, now: number): BreakerAdmission => {
    const left = remaining(open, now)
    if (left > 0) return { kind: 'refuse', retryAfter: left }
    const { lease } = client
    if (lease && remaining(lease, now) > 0) {
      client.lease = undefined
      client.reportSpent(x, lease.id, Math.max(0, x.deadline - now), now)
      return { kind: 'probe', lease: lease.id }
    }
    client.requestLease(x, now)
    return { kind: 'refuse', retryAfter: 0 }
  }
  return {
    admit: (x, now) => {
      const { open } = client
      // A new isolate has no update yet, although the breaker may be open; a breaker that refuses may have been released since.
      client.poll(x, now)
      // An older update counts for nothing; otherwise requests that are further apart would never probe.
      const isCurrent = open !== undefined && distance(now, open.since) <= Math.max(maxOpenMs, PROBE_LEASE_MS)
      return isCurrent ? admitWhenOpen(x, open, now) : PASS
    },
    record: client.record,
    settle: client.reportProbe,
    isOpen: () => client.open !== undefined,
  }
}

/** The stage of upstreams without a breaker: admits every request, and updates the conditions of targets once a second. */
export function pollConditions(client: BreakerClient, platform: Platform): Middleware {
  return (next) => (x) => {
    client.poll(x, platform.now())
    return next(x)
  }
}
