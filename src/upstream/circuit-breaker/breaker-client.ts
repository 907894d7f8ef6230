import { callObject } from '../../core/durable-object.ts'
import type { UpstreamConfig } from '../config.ts'
import type { Exchange } from '../../core/exchange.ts'
import type { Platform } from '../../core/platform.ts'
import { type Region, breakerName, locationOf } from '../../core/region.ts'
import { makeReportBuffer, type ReportBuffer } from './report-buffer.ts'
import {
  type ProbeReport,
  type SpentLease,
  type BreakerUpdate,
  applyReport,
  BREAKER_PROTOCOL,
  type BreakerReport,
} from './breaker-report.ts'
import {
  PROBE_LEASE_MS,
  type BreakerSettings,
  type ProbeLease,
  type ProbeResult,
  CLOSED_BREAKER,
  type BreakerState,
} from './breaker-state.ts'
import { healthSettings } from '../health/health.ts'
import type { Target } from '../target.ts'
import { type Interval } from '../../lib/time.ts'

/** An isolate's line to the object of an upstream, and what came over it last. What is said goes out with the next report, in `waitUntil`. */
export interface BreakerClient
  extends Pick<ReportBuffer, 'record' | 'poll'>, Pick<BreakerReporter, 'isAlone' | 'timesAlone'> {
  /** How long the circuit stays open; undefined while it is closed. */
  open: Interval | undefined
  /** A lease that this isolate may spend. */
  lease: ProbeLease | undefined
  readonly requestLease: (x: Exchange, now: number) => void
  readonly reportSpent: (x: Exchange, lease: string, ms: number, now: number) => void
  /** Says what a probe found, and waits until that is sent. */
  readonly reportProbe: (x: Exchange, lease: string, result: ProbeResult) => Promise<void>
}

/** Writes the conditions of `targets` as it hears of them. */
export function makeBreakerClient(
  upstream: string,
  config: UpstreamConfig,
  targets: readonly Target[],
  platform: Platform,
): BreakerClient {
  const settings = config.circuitBreaker && settingsOf(config.circuitBreaker)
  const health = config.healthCheck && healthSettings(config.healthCheck, targets)
  const keeper = makeBreakerReporter(platform)
  // The region of the first report, and kept: an isolate stays where it is, though single clients come from afar.
  let region: Region | undefined
  let spent: SpentLease[] = []
  let probes: ProbeReport[] = []
  let wantsLease = false
  let askedAt: number | undefined
  let leaseMs = PROBE_LEASE_MS
  let told = 0
  let heard = 0

  const report = async (x: Exchange): Promise<void> => {
    const nth = ++told
    const sentAt = platform.now()
    region ??= platform.region(x.request)
    const keptMs = leaseMs
    const said = {
      counters: batch.take(sentAt),
      spent,
      probes,
      wantsLease,
      ...(keptMs > PROBE_LEASE_MS && { leaseMs: keptMs }),
    }
    spent = []
    probes = []
    wantsLease = false
    const verdict = await keeper.report({ upstream, region, settings, health, ...said })
    // Answers may overtake each other; an old one must not reopen what a newer one closed.
    if (nth < heard) return
    heard = nth
    hear(verdict, sentAt, keptMs)
  }
  const hear = (verdict: BreakerUpdate, sentAt: number, keptMs: number) => {
    if (verdict.state === 'closed') askedAt = undefined
    line.open = verdict.state === 'open' ? { since: platform.now(), ms: verdict.forMs } : undefined
    // From when it was asked for, and for a second less than it is kept: enough is left to say that it is spent.
    if (verdict.state === 'open' && verdict.lease !== undefined)
      line.lease = { id: verdict.lease, since: sentAt, ms: keptMs - PROBE_LEASE_MS / 2 }
    const conditions = verdict.targets
    if (conditions) for (const target of targets) target.condition = conditions[target.label] ?? 'ok'
  }
  const batch = makeReportBuffer(report)
  const line: BreakerClient = {
    open: undefined,
    lease: undefined,
    record: batch.record,
    poll: batch.poll,
    isAlone: keeper.isAlone,
    timesAlone: keeper.timesAlone,
    requestLease: (x, now) => {
      wantsLease = true
      // The next request is as far off as the last one was. It must find the lease, or a quiet upstream would never be probed.
      const gap = askedAt === undefined ? 0 : Math.abs(now - askedAt)
      askedAt = now
      leaseMs = Math.max(PROBE_LEASE_MS, Math.min(2 * gap + PROBE_LEASE_MS, settings?.maxOpenDuration ?? 0))
      void batch.flush(x, now)
    },
    reportSpent: (x, lease, ms, now) => {
      spent.push({ lease, ms })
      void batch.flush(x, now)
    },
    reportProbe: (x, lease, result) => {
      probes.push({ lease, result })
      return batch.flush(x, platform.now())
    },
  }
  return line
}

function settingsOf(config: NonNullable<UpstreamConfig['circuitBreaker']>): BreakerSettings {
  const { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes } = config
  return { failureRate, slowCallRate, minimumRequests, window, openDuration, maxOpenDuration, halfOpenProbes }
}

/** The object's time to answer, in milliseconds. No request waits for it; the next report does. */
const ANSWER_MS = 500

/** Whoever keeps the circuit that this isolate reports to: the upstream's Durable Object in its region, or for want of it the isolate itself. */
export interface BreakerReporter {
  /** Never rejects. */
  readonly report: (report: BreakerReport) => Promise<BreakerUpdate>
  /** Whether the object could not be reached the last time, so that this isolate decides alone. */
  readonly isAlone: () => boolean
  /** How many of its reports this isolate has had to answer itself. */
  readonly timesAlone: () => number
}

/** One for each upstream: while its object gives no verdict within 500 ms, the isolate goes on from the last one that it gave. */
export function makeBreakerReporter(platform: Pick<Platform, 'breakers' | 'now' | 'random'>): BreakerReporter {
  let own: BreakerState | undefined
  let lastHeard: BreakerUpdate = { state: 'closed' }
  let timesAlone = 0
  return {
    report: async (report) => {
      const verdict = await askObject(report, platform)
      const now = platform.now()
      if (verdict !== undefined) {
        own = undefined
        lastHeard = verdict
        return verdict
      }
      timesAlone++
      const [next, decided] = applyReport(
        own ?? circuitOf(lastHeard, now),
        report,
        `own-${now}-${platform.random()}`,
        now,
      )
      own = next
      // An operator's word stands until it is heard that it does not.
      return lastHeard.forced ? lastHeard : decided
    },
    isAlone: () => own !== undefined,
    timesAlone: () => timesAlone,
  }
}

/** Where an isolate begins that knows no more than this. */
function circuitOf(verdict: BreakerUpdate, now: number): BreakerState {
  return verdict.state === 'open' ? { state: 'open', since: now, ms: verdict.forMs, openings: 1 } : CLOSED_BREAKER
}

/** Undefined also from an object of the version before, which does not understand: the isolate then decides alone until that is replaced. */
function askObject(
  report: BreakerReport,
  { breakers }: Pick<Platform, 'breakers'>,
): Promise<BreakerUpdate | undefined> {
  const { region, upstream } = report
  const name = breakerName(region, upstream)
  return callObject(
    breakers,
    name,
    ANSWER_MS,
    (breaker) => breaker.report(BREAKER_PROTOCOL, report),
    locationOf(region),
  )
}
