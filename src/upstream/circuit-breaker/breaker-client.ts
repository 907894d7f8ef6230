import type { Exchange } from '../../core/exchange.ts'
import type { Platform } from '../../core/platform.ts'
import type { Region } from '../../core/region.ts'
import { distance, type Interval } from '../../lib/time.ts'
import type { CircuitBreakerConfig, UpstreamConfig } from '../config.ts'
import { healthSettings } from '../health/health.ts'
import type { Target } from '../target.ts'
import type { BreakerReport, BreakerUpdate, ProbeReport, SpentLease } from './breaker-report.ts'
import { makeBreakerReporter, type BreakerReporter } from './breaker-reporter.ts'
import { PROBE_LEASE_MS, type BreakerSettings, type ProbeLease, type ProbeResult } from './breaker-state.ts'
import { makeCallWindow } from './call-window.ts'
import { makeReportBuffer, type ReportBuffer } from './report-buffer.ts'

/**
 * An isolate's client of the breaker object of an upstream, and the state of the last update. Reports are sent in `waitUntil`. The isolate opens
 * the breaker itself, at once, when its own calls reach the threshold; the update of the report that contains them then replaces that state.
 */
export interface BreakerClient
  extends Pick<ReportBuffer, 'record' | 'poll'>, Pick<BreakerReporter, 'isAlone' | 'timesAlone'> {
  /** How long the breaker stays open; undefined while it is closed. */
  open: Interval | undefined
  /** A probe lease that this isolate may spend. */
  lease: ProbeLease | undefined
  /** Asks for a probe lease with the next report. */
  readonly requestLease: (x: Exchange, now: number) => void
  /** Reports that a request spends the lease `lease`, and may take `ms` milliseconds. */
  readonly reportSpent: (x: Exchange, lease: string, ms: number, now: number) => void
  /** Reports the result of a probe; resolves when the report is sent. */
  readonly reportProbe: (x: Exchange, lease: string, result: ProbeResult) => Promise<void>
}

/** Makes the client of one upstream; it also writes the conditions of `targets` from each update. */
export function makeBreakerClient(
  upstream: string,
  config: UpstreamConfig,
  targets: readonly Target[],
  platform: Platform,
): BreakerClient {
  const settings = config.circuitBreaker && settingsOf(config.circuitBreaker)
  const health = config.healthCheck && healthSettings(config.healthCheck, targets)
  const reporter = makeBreakerReporter(platform)
  const pending = makePendingReport(settings?.maxOpenDuration ?? 0)
  // The region of the first report is kept: an isolate does not move, although some of its clients are far away.
  let region: Region | undefined
  let sentSeq = 0
  let receivedSeq = 0

  const report = async (x: Exchange): Promise<void> => {
    const seq = ++sentSeq
    const sentAt = platform.now()
    region ??= platform.region(x.request)
    const counters = buffer.take(sentAt)
    const taken = pending.take()
    const update = await reporter.report({ upstream, region, settings, health, counters, ...taken })
    // Updates can overtake each other: an older one must not reopen what a newer one closed.
    if (seq < receivedSeq) return
    receivedSeq = seq
    applyConditions(targets, update.targets)
    if (ownBreaker && !ownBreaker.accepts(update, seq)) return
    if (update.state === 'closed') pending.forgetRequests()
    applyUpdate(client, update, { sentAt, leaseMs: taken.leaseMs, now: platform.now() })
  }
  const buffer = makeReportBuffer(report)
  const record: ReportBuffer['record'] = (x, failed, slow, now) => {
    buffer.record(x, failed, slow, now)
    ownBreaker?.record(failed, slow, now, sentSeq)
  }
  const client = makeClient(record, buffer, pending, reporter, platform)
  const ownBreaker = settings && makeOwnBreaker(client, settings)
  return client
}

/** Opens the breaker of one isolate by the calls of that isolate. */
interface OwnBreaker {
  /** Counts a call; `sentSeq` is the number of the last report that was sent. */
  readonly record: (failed: boolean, slow: boolean, now: number, sentSeq: number) => void
  /** Whether the update of report `seq` replaces the state. */
  readonly accepts: (update: BreakerUpdate, seq: number) => boolean
}

function makeOwnBreaker(client: Pick<BreakerClient, 'open'>, settings: BreakerSettings): OwnBreaker {
  const calls = makeCallWindow(settings)
  let openedAfterSeq = 0
  let isForcedClosed = false
  return {
    record: (failed, slow, now, sentSeq) => {
      if (!calls.record(failed, slow, now) || client.open || isForcedClosed) return
      client.open = { since: now, ms: settings.openDuration }
      openedAfterSeq = sentSeq
    },
    accepts: (update, seq) => {
      isForcedClosed = update.state === 'closed' && update.forced === true
      if (update.state === 'open' || client.open === undefined) return true
      // The object does not know yet of the calls by which this isolate opened.
      if (seq <= openedAfterSeq && !isForcedClosed) return false
      // What opened the breaker must not open it again.
      calls.reset()
      return true
    },
  }
}

function makeClient(
  record: ReportBuffer['record'],
  buffer: ReportBuffer,
  pending: PendingReport,
  reporter: BreakerReporter,
  platform: Pick<Platform, 'now'>,
): BreakerClient {
  return {
    open: undefined,
    lease: undefined,
    record,
    poll: buffer.poll,
    isAlone: reporter.isAlone,
    timesAlone: reporter.timesAlone,
    requestLease: (x, now) => {
      pending.requestLease(now)
      void buffer.flush(x, now)
    },
    reportSpent: (x, lease, ms, now) => {
      pending.addSpent({ lease, ms })
      void buffer.flush(x, now)
    },
    reportProbe: (x, lease, result) => {
      pending.addProbe({ lease, result })
      return buffer.flush(x, platform.now())
    },
  }
}

function settingsOf(config: CircuitBreakerConfig): BreakerSettings {
  const { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes } = config
  return { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes }
}

/** The content of the next report, except its counters. */
interface PendingReport {
  readonly requestLease: (now: number) => void
  readonly addSpent: (lease: SpentLease) => void
  readonly addProbe: (probe: ProbeReport) => void
  /** Forgets when the last lease was requested: the breaker is closed. */
  readonly forgetRequests: () => void
  /** Empties it into the report that is sent now. */
  readonly take: () => Required<Pick<BreakerReport, 'spent' | 'probes' | 'wantsLease' | 'leaseMs'>>
}

/** Makes the first pending report; no lease is kept for longer than `maxOpenMs` milliseconds, or `PROBE_LEASE_MS` if that is longer. */
function makePendingReport(maxOpenMs: number): PendingReport {
  let spent: SpentLease[] = []
  let probes: ProbeReport[] = []
  let wantsLease = false
  let requestedAt: number | undefined
  let leaseMs = PROBE_LEASE_MS
  return {
    requestLease: (now) => {
      wantsLease = true
      // The next request is expected after the same gap as the last. The lease must last until then; otherwise an upstream with
      // little traffic would never be probed.
      const gap = requestedAt === undefined ? 0 : distance(now, requestedAt)
      requestedAt = now
      leaseMs = Math.max(PROBE_LEASE_MS, Math.min(2 * gap + PROBE_LEASE_MS, maxOpenMs))
    },
    addSpent: (lease) => void spent.push(lease),
    addProbe: (probe) => void probes.push(probe),
    forgetRequests: () => {
      requestedAt = undefined
    },
    take: () => {
      const taken = { spent, probes, wantsLease, leaseMs }
      spent = []
      probes = []
      wantsLease = false
      return taken
    },
  }
}

function applyUpdate(
  client: BreakerClient,
  update: BreakerUpdate,
  { sentAt, leaseMs, now }: { readonly sentAt: number; readonly leaseMs: number; readonly now: number },
): void {
  client.open = update.state === 'open' ? { since: now, ms: update.forMs } : undefined
  // It starts when the report was sent, and ends a second before the object drops the lease: the report of its use needs that time.
  if (update.state === 'open' && update.lease !== undefined)
    client.lease = { id: update.lease, since: sentAt, ms: leaseMs - PROBE_LEASE_MS / 2 }
}

function applyConditions(targets: readonly Target[], conditions: BreakerUpdate['targets']): void {
  if (conditions) for (const target of targets) target.condition = conditions[target.label] ?? 'ok'
}
