import type { Exchange } from '../../core/exchange.ts'
import type { Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import type { CircuitLine } from './breaker-client.ts'
import { LEASE_MS, type ProbeResult } from './breaker-state.ts'
import { leftOf, type Term } from '../../lib/time.ts'

/** May a request go to the upstream? `retryAfter` is in milliseconds, 0 when a probe is due at any moment. */
export type Admission =
  | { readonly kind: 'pass' }
  | { readonly kind: 'probe'; readonly lease: string }
  | { readonly kind: 'refuse'; readonly retryAfter: number }

/** One isolate's view of a circuit: it decides at once from what it heard last, and tells and asks in `waitUntil`. */
export interface CircuitView {
  readonly admit: (x: Exchange, now: number) => Admission
  readonly record: (x: Exchange, failed: boolean, slow: boolean, now: number) => void
  /** Gives a probe's lease back with its result. */
  readonly settle: (x: Exchange, lease: string, result: ProbeResult) => Promise<void>
  readonly isOpen: () => boolean
}

const PASS: Admission = { kind: 'pass' }

/** `maxOpenMs`: what was heard longer ago than that is no longer known. */
export function makeCircuitView(line: CircuitLine, maxOpenMs: number): CircuitView {
  const admitWhenOpen = (x: Exchange, open: Term, now: number): Admission => {
    const left = leftOf(open, now)
    if (left > 0) return { kind: 'refuse', retryAfter: left }
    const { lease } = line
    if (lease && leftOf(lease, now) > 0) {
      line.lease = undefined
      line.spend(x, lease.id, Math.max(0, x.deadline - now), now)
      return { kind: 'probe', lease: lease.id }
    }
    line.askLease(x, now)
    return { kind: 'refuse', retryAfter: 0 }
  }
  return {
    admit: (x, now) => {
      const { open } = line
      // A new isolate knows nothing, and the upstream may be known to be down; one that refuses may have been released since.
      line.poll(x, now)
      // One that heard nothing for so long knows no more than a new one; without this, requests further apart would never probe.
      const isKnown = open !== undefined && Math.abs(now - open.since) <= Math.max(maxOpenMs, LEASE_MS)
      return !isKnown ? PASS : admitWhenOpen(x, open, now)
    },
    record: line.record,
    settle: line.settle,
    isOpen: () => line.open !== undefined,
  }
}

/** For upstreams without a breaker: lets every request through, and the isolate hear of its targets once a second. */
export function watch(line: CircuitLine, platform: Platform): Middleware {
  return (next) => (x) => {
    line.poll(x, platform.now())
    return next(x)
  }
}
