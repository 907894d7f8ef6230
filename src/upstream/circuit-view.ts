import type { CircuitBreakerConfig } from '../config/upstream.ts'
import type { Exchange } from '../exchange.ts'
import type { Site } from '../policy.ts'
import { makeCircuitBatch } from './circuit-batch.ts'
import type { Report } from './circuit-report.ts'
import { LEASE_MS, type CircuitSettings, type ProbeResult } from './circuit.ts'
import { makeKeeper } from './keeper.ts'

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
  const settings = settingsOf(config)
  const keeper = makeKeeper(upstream, site)
  const batch = makeCircuitBatch(() => tell())
  let openUntil: number | undefined
  let lease: { readonly id: string; readonly usableUntil: number } | undefined
  let askedAt = 0
  let told = 0
  let heard = 0

  const tell = async (news?: Omit<Report, 'settings' | 'tally'>): Promise<void> => {
    const nth = ++told
    const sentAt = site.now()
    const verdict = await keeper.tell({ settings, tally: batch.take(), ...news })
    // Answers may overtake each other; an old one must not reopen what a newer one closed.
    if (nth < heard) return
    heard = nth
    openUntil = verdict.state === 'open' ? site.now() + verdict.forMs : undefined
    if (verdict.state === 'closed' || verdict.lease === undefined) return
    // From when it was asked for, and for half of what it is kept: enough is left to say that it is spent.
    lease = { id: verdict.lease, usableUntil: sentAt + LEASE_MS / 2 }
  }

  const admitWhenOpen = (x: Exchange, until: number, now: number): Admission => {
    if (now < until) return { kind: 'refuse', retryAfter: until - now }
    if (lease && now < lease.usableUntil) {
      const { id } = lease
      lease = undefined
      x.waitUntil(tell({ spent: { lease: id, ms: Math.max(0, x.deadline - now) } }))
      return { kind: 'probe', lease: id }
    }
    if (now - askedAt >= ASK_INTERVAL_MS) {
      askedAt = now
      x.waitUntil(tell({ wantsLease: true }))
    }
    return { kind: 'refuse', retryAfter: 0 }
  }

  return {
    admit: (x, now) => {
      // A new isolate knows nothing, and the upstream may be known to be down.
      if (told === 0) x.waitUntil(tell())
      return openUntil === undefined ? PASS : admitWhenOpen(x, openUntil, now)
    },
    record: batch.record,
    settle: (id, result) => tell({ probe: { lease: id, result } }),
    isOpen: () => openUntil !== undefined,
    isAlone: keeper.isAlone,
  }
}

function settingsOf(config: CircuitBreakerConfig): CircuitSettings {
  const { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes } = config
  return { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes }
}
