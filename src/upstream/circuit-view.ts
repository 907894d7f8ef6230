import type { CircuitBreakerConfig } from '../config/upstream.ts'
import type { Exchange } from '../exchange.ts'
import type { Site } from '../policy.ts'
import { makeCircuitBatch } from './circuit-batch.ts'
import type { Report } from './circuit-report.ts'
import { LEASE_MS, type CircuitSettings, type Lease, type ProbeResult } from './circuit.ts'
import { makeKeeper } from './keeper.ts'
import { leftOf, type Term } from './term.ts'

/** The least time between two requests for a lease, in milliseconds. */
const ASK_INTERVAL_MS = 200

/** May a request go to the upstream? `retryAfter` is in milliseconds, 0 when a probe is due at any moment. */
export type Admission =
  | { readonly kind: 'pass' }
  | { readonly kind: 'probe'; readonly lease: string }
  | { readonly kind: 'refuse'; readonly retryAfter: number }

/** One isolate's view of a circuit: it decides at once from what it heard last, and tells and asks in `waitUntil`. */
export interface CircuitView {
  readonly admit: (x: Exchange, now: number) => Admission
  readonly record: (x: Exchange, failed: boolean, slow: boolean, now: number) => void
  /** Gives a probe's lease back with its result, at once. */
  readonly settle: (lease: string, result: ProbeResult) => Promise<void>
  readonly isOpen: () => boolean
  /** Whether the circuit's object was out of reach the last time, so that this isolate decides alone. */
  readonly isAlone: () => boolean
}

const PASS: Admission = { kind: 'pass' }

export function makeCircuitView(upstream: string, config: CircuitBreakerConfig, site: Site): CircuitView {
  const line = makeLine(upstream, config, site)
  let askedAt = -Infinity

  const admitWhenOpen = (x: Exchange, open: Term, now: number): Admission => {
    const left = leftOf(open, now)
    if (left > 0) return { kind: 'refuse', retryAfter: left }
    const { lease } = line
    if (lease && leftOf(lease, now) > 0) {
      line.lease = undefined
      x.waitUntil(line.tell({ spent: { lease: lease.id, ms: Math.max(0, x.deadline - now) } }))
      return { kind: 'probe', lease: lease.id }
    }
    // The distance, because a clock may step back.
    if (Math.abs(now - askedAt) >= ASK_INTERVAL_MS) {
      askedAt = now
      x.waitUntil(line.tell({ wantsLease: true }))
    }
    return { kind: 'refuse', retryAfter: 0 }
  }

  return {
    admit: (x, now) => {
      // A new isolate knows nothing, and the upstream may be known to be down.
      if (!line.hasTold()) x.waitUntil(line.tell())
      return line.open === undefined ? PASS : admitWhenOpen(x, line.open, now)
    },
    record: line.record,
    settle: (id, result) => line.tell({ probe: { lease: id, result } }),
    isOpen: () => line.open !== undefined,
    isAlone: line.isAlone,
  }
}

/** The line to the circuit's keeper, and what came over it last. */
interface Line extends Pick<CircuitView, 'record' | 'isAlone'> {
  /** How long the circuit stays open; undefined while it is closed. */
  open: Term | undefined
  /** A lease that this isolate may spend. */
  lease: Lease | undefined
  readonly tell: (news?: Omit<Report, 'settings' | 'tally'>) => Promise<void>
  readonly hasTold: () => boolean
}

function makeLine(upstream: string, config: CircuitBreakerConfig, site: Site): Line {
  const settings = settingsOf(config)
  const keeper = makeKeeper(upstream, site)
  const batch = makeCircuitBatch(() => line.tell())
  let told = 0
  let heard = 0
  const line: Line = {
    open: undefined,
    lease: undefined,
    record: batch.record,
    isAlone: keeper.isAlone,
    hasTold: () => told > 0,
    tell: async (news) => {
      const nth = ++told
      const sentAt = site.now()
      const verdict = await keeper.tell({ settings, tally: batch.take(), ...news })
      // Answers may overtake each other; an old one must not reopen what a newer one closed.
      if (nth < heard) return
      heard = nth
      line.open = verdict.state === 'open' ? { since: site.now(), ms: verdict.forMs } : undefined
      if (verdict.state === 'closed' || verdict.lease === undefined) return
      // From when it was asked for, and for half of what it is kept: enough is left to say that it is spent.
      line.lease = { id: verdict.lease, since: sentAt, ms: LEASE_MS / 2 }
    },
  }
  return line
}

function settingsOf(config: CircuitBreakerConfig): CircuitSettings {
  const { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes } = config
  return { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes }
}
