import type { CircuitBreakerConfig } from '../config/upstream.ts'
import type { Exchange } from '../exchange.ts'
import type { Site } from '../policy.ts'
import type { Report } from './circuit-report.ts'
import { LEASE_MS, type CircuitSettings, type ProbeResult } from './circuit.ts'
import { makeKeeper } from './keeper.ts'

/** The least time between two reports or two questions, in milliseconds: at most five a second from an isolate. */
const INTERVAL_MS = 200
/** A batch that was opened longer ago than this, in milliseconds, has died with the request that was to report it. */
const BATCH_MS = 2_000

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
  readonly isAlone: () => boolean
}

const PASS: Admission = { kind: 'pass' }

export function makeCircuitView(upstream: string, config: CircuitBreakerConfig, site: Site): CircuitView {
  const settings = settingsOf(config)
  const keeper = makeKeeper(upstream, site)
  const tally = { calls: 0, failures: 0, slow: 0 }
  let openUntil: number | undefined
  let lease: { readonly id: string; readonly usableUntil: number } | undefined
  let batchOpenedAt = 0
  let askedAt = 0
  let told = 0
  let heard = 0

  const tell = async (news?: Omit<Report, 'settings' | 'tally'>): Promise<void> => {
    const nth = ++told
    const sentAt = site.now()
    const report = { settings, tally: { ...tally }, ...news }
    tally.calls = tally.failures = tally.slow = batchOpenedAt = 0
    const verdict = await keeper.tell(report)
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
    if (now - askedAt >= INTERVAL_MS) {
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
    record: (x, failed, slow, now) => {
      tally.calls++
      if (failed) tally.failures++
      if (slow) tally.slow++
      if (now - batchOpenedAt < BATCH_MS) return
      batchOpenedAt = now
      // The request that opens a batch reports it: what another request had begun would be cancelled together with that one.
      x.waitUntil(sleep(INTERVAL_MS).then(() => tell()))
    },
    settle: (id, result) => tell({ probe: { lease: id, result } }),
    isOpen: () => openUntil !== undefined,
    isAlone: keeper.isAlone,
  }
}

function settingsOf(config: CircuitBreakerConfig): CircuitSettings {
  const { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes } = config
  return { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
