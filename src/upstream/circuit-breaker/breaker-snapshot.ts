import type { Exchange } from '../../core/exchange.ts'
import type { Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import type { BreakerClient } from './breaker-client.ts'
import { PROBE_LEASE_MS, type ProbeResult } from './breaker-state.ts'
import { remaining, type Interval } from '../../lib/time.ts'

/** May a request go to the upstream? `retryAfter` is in milliseconds, 0 when a probe is due at any moment. */
export type BreakerAdmission =
  | { readonly kind: 'pass' }
  | { readonly kind: 'probe'; readonly lease: string }
  | { readonly kind: 'refuse'; readonly retryAfter: number }

/** One isolate's view of a circuit: it decides at once from what it heard last, and tells and asks in `waitUntil`. */
export interface BreakerSnapshot {
  readonly admit: (x: Exchange, now: number) => BreakerAdmission
  readonly record: (x: Exchange, failed: boolean, slow: boolean, now: number) => void
  /** Gives a probe's lease back with its result. */
  readonly settle: (x: Exchange, lease: string, result: ProbeResult) => Promise<void>
  readonly isOpen: () => boolean
}

const PASS: BreakerAdmission = { kind: 'pass' }

/** `maxOpenMs`: what was heard longer ago than that is no longer known. */
export function makeBreakerSnapshot(line: BreakerClient, maxOpenMs: number): BreakerSnapshot {
  const admitWhenOpen = (x: Exchange, open: Interval, now: number): BreakerAdmission => {
    const left = remaining(open, now)
    if (left > 0) return { kind: 'refuse', retryAfter: left }
    const { lease } = line
    if (lease && remaining(lease, now) > 0) {
      line.lease = undefined
      line.reportSpent(x, lease.id, Math.max(0, x.deadline - now), now)
      return { kind: 'probe', lease: lease.id }
    }
    line.requestLease(x, now)
    return { kind: 'refuse', retryAfter: 0 }
  }
  return {
    admit: (x, now) => {
      const { open } = line
      // A new isolate knows nothing, and the upstream may be known to be down; one that refuses may have been released since.
      line.poll(x, now)
      // One that heard nothing for so long knows no more than a new one; without this, requests further apart would never probe.
      const isKnown = open !== undefined && Math.abs(now - open.since) <= Math.max(maxOpenMs, PROBE_LEASE_MS)
      return !isKnown ? PASS : admitWhenOpen(x, open, now)
    },
    record: line.record,
    settle: line.reportProbe,
    isOpen: () => line.open !== undefined,
  }
}

/** For upstreams without a breaker: lets every request through, and the isolate hear of its targets once a second. */
export function pollConditions(line: BreakerClient, platform: Platform): Middleware {
  return (next) => (x) => {
    line.poll(x, platform.now())
    return next(x)
  }
}
