import { callObject } from '../../core/durable-object.ts'
import type { UpstreamConfig } from '../config.ts'
import type { Exchange } from '../../core/exchange.ts'
import type { Platform } from '../../core/platform.ts'
import { type Region, breakerName, locationOf } from '../../core/region.ts'
import { makeCircuitBatch, type CircuitBatch } from './report-buffer.ts'
import { type Probe, type Spent, type Verdict, hear, PROTOCOL, type Report } from './breaker-report.ts'
import { LEASE_MS, type CircuitSettings, type Lease, type ProbeResult, CLOSED, type Circuit } from './breaker-state.ts'
import { healthSettings } from '../health/health.ts'
import type { Target } from '../target.ts'
import { type Term } from '../../lib/time.ts'

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

/** The object's time to answer, in milliseconds. No request waits for it; the next report does. */
const ANSWER_MS = 500

/** Whoever keeps the circuit that this isolate reports to: the upstream's Durable Object in its region, or for want of it the isolate itself. */
export interface Keeper {
  /** Never rejects. */
  readonly tell: (report: Report) => Promise<Verdict>
  /** Whether the object could not be reached the last time, so that this isolate decides alone. */
  readonly isAlone: () => boolean
  /** How many of its reports this isolate has had to answer itself. */
  readonly timesAlone: () => number
}

/** One for each upstream: while its object gives no verdict within 500 ms, the isolate goes on from the last one that it gave. */
export function makeKeeper(platform: Pick<Platform, 'breakers' | 'now' | 'random'>): Keeper {
  let own: Circuit | undefined
  let lastHeard: Verdict = { state: 'closed' }
  let timesAlone = 0
  return {
    tell: async (report) => {
      const verdict = await askObject(report, platform)
      const now = platform.now()
      if (verdict !== undefined) {
        own = undefined
        lastHeard = verdict
        return verdict
      }
      timesAlone++
      const [next, decided] = hear(own ?? circuitOf(lastHeard, now), report, `own-${now}-${platform.random()}`, now)
      own = next
      // An operator's word stands until it is heard that it does not.
      return lastHeard.forced ? lastHeard : decided
    },
    isAlone: () => own !== undefined,
    timesAlone: () => timesAlone,
  }
}

/** Where an isolate begins that knows no more than this. */
function circuitOf(verdict: Verdict, now: number): Circuit {
  return verdict.state === 'open' ? { state: 'open', since: now, ms: verdict.forMs, openings: 1 } : CLOSED
}

/** Undefined also from an object of the version before, which does not understand: the isolate then decides alone until that is replaced. */
function askObject(report: Report, { breakers }: Pick<Platform, 'breakers'>): Promise<Verdict | undefined> {
  const { region, upstream } = report
  const name = breakerName(region, upstream)
  return callObject(breakers, name, ANSWER_MS, (breaker) => breaker.report(PROTOCOL, report), locationOf(region))
}
