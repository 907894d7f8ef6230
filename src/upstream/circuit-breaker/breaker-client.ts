import type { UpstreamConfig } from '../config.ts'
import type { Exchange } from '../../core/exchange.ts'
import type { Platform } from '../../core/platform.ts'
import type { Region } from '../../core/region.ts'
import { makeCircuitBatch, type CircuitBatch } from './report-buffer.ts'
import type { Probe, Spent, Verdict } from './breaker-report.ts'
import { LEASE_MS, type CircuitSettings, type Lease, type ProbeResult } from './breaker-state.ts'
import { healthSettings } from '../health/health.ts'
import { makeKeeper, type Keeper } from './keeper.ts'
import type { Target } from '../target.ts'
import type { Term } from '../../lib/interval.ts'

/** An isolate's line to the object of an upstream, and what came over it last. What is said goes out with the next report, in `waitUntil`. */
export interface CircuitLine extends Pick<CircuitBatch, 'record' | 'poll'>, Pick<Keeper, 'isAlone' | 'timesAlone'> {
  /** How long the circuit stays open; undefined while it is closed. */
  open: Term | undefined
  /** A lease that this isolate may spend. */
  lease: Lease | undefined
  readonly askLease: (x: Exchange, now: number) => void
  readonly spend: (x: Exchange, lease: string, ms: number, now: number) => void
  /** Says what a probe found, and waits until that is sent. */
  readonly settle: (x: Exchange, lease: string, result: ProbeResult) => Promise<void>
}

/** Writes the conditions of `targets` as it hears of them. */
export function makeCircuitLine(
  upstream: string,
  config: UpstreamConfig,
  targets: readonly Target[],
  platform: Platform,
): CircuitLine {
  const settings = config.circuitBreaker && settingsOf(config.circuitBreaker)
  const health = config.healthCheck && healthSettings(config.healthCheck, targets)
  const keeper = makeKeeper(platform)
  // The region of the first report, and kept: an isolate stays where it is, though single clients come from afar.
  let region: Region | undefined
  let spent: Spent[] = []
  let probes: Probe[] = []
  let wantsLease = false
  let askedAt: number | undefined
  let leaseMs = LEASE_MS
  let told = 0
  let heard = 0

  const report = async (x: Exchange): Promise<void> => {
    const nth = ++told
    const sentAt = platform.now()
    region ??= platform.region(x.request)
    const keptMs = leaseMs
    const said = { tally: batch.take(sentAt), spent, probes, wantsLease, ...(keptMs > LEASE_MS && { leaseMs: keptMs }) }
    spent = []
    probes = []
    wantsLease = false
    const verdict = await keeper.tell({ upstream, region, settings, health, ...said })
    // Answers may overtake each other; an old one must not reopen what a newer one closed.
    if (nth < heard) return
    heard = nth
    hear(verdict, sentAt, keptMs)
  }
  const hear = (verdict: Verdict, sentAt: number, keptMs: number) => {
    if (verdict.state === 'closed') askedAt = undefined
    line.open = verdict.state === 'open' ? { since: platform.now(), ms: verdict.forMs } : undefined
    // From when it was asked for, and for a second less than it is kept: enough is left to say that it is spent.
    if (verdict.state === 'open' && verdict.lease !== undefined)
      line.lease = { id: verdict.lease, since: sentAt, ms: keptMs - LEASE_MS / 2 }
    const conditions = verdict.targets
    if (conditions) for (const target of targets) target.condition = conditions[target.label] ?? 'ok'
  }
  const batch = makeCircuitBatch(report)
  const line: CircuitLine = {
    open: undefined,
    lease: undefined,
    record: batch.record,
    poll: batch.poll,
    isAlone: keeper.isAlone,
    timesAlone: keeper.timesAlone,
    askLease: (x, now) => {
      wantsLease = true
      // The next request is as far off as the last one was. It must find the lease, or a quiet upstream would never be probed.
      const gap = askedAt === undefined ? 0 : Math.abs(now - askedAt)
      askedAt = now
      leaseMs = Math.max(LEASE_MS, Math.min(2 * gap + LEASE_MS, settings?.maxOpenDuration ?? 0))
      void batch.urge(x, now)
    },
    spend: (x, lease, ms, now) => {
      spent.push({ lease, ms })
      void batch.urge(x, now)
    },
    settle: (x, lease, result) => {
      probes.push({ lease, result })
      return batch.urge(x, platform.now())
    },
  }
  return line
}

function settingsOf(config: NonNullable<UpstreamConfig['circuitBreaker']>): CircuitSettings {
  const { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes } = config
  return { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes }
}
