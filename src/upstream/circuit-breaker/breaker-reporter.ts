import { callObject } from '../../core/durable-object.ts'
import type { Platform } from '../../core/platform.ts'
import { breakerName, locationOf } from '../../core/region.ts'
import { applyLocalReport, BREAKER_PROTOCOL, type BreakerReport, type BreakerUpdate } from './breaker-report.ts'
import { CLOSED_BREAKER, type BreakerState } from './breaker-state.ts'

/** The timeout of a report, in milliseconds. Only the next report waits for it, no request does. */
const REPORT_TIMEOUT_MS = 500

/** Sends reports to the breaker object of an upstream in this isolate's region. A local breaker replaces the object while it is unreachable. */
export interface BreakerReporter {
  /** Never rejects. */
  readonly report: (report: BreakerReport) => Promise<BreakerUpdate>
  /** Whether the object was unreachable for the last report, so that this isolate decides alone. */
  readonly isAlone: () => boolean
  /** How many reports this isolate has applied itself. */
  readonly timesAlone: () => number
}

/** Makes the reporter of one upstream. When the object does not respond within 500 ms, a local breaker continues from its last update. */
export function makeBreakerReporter(platform: Pick<Platform, 'breakers' | 'now' | 'random'>): BreakerReporter {
  let local: BreakerState | undefined
  let lastUpdate: BreakerUpdate = { state: 'closed' }
  let timesAlone = 0
  return {
    report: async (report) => {
      const update = await sendReport(report, platform)
      const now = platform.now()
      if (update !== undefined) {
        local = undefined
        lastUpdate = update
        return update
      }
      timesAlone++
      const leaseId = `own-${now}-${platform.random()}`
      const [next, decided] = applyLocalReport(local ?? stateAfter(lastUpdate, now), report, leaseId, now)
      local = next
      // A forced state holds until the object reports that it was released.
      return lastUpdate.forced ? lastUpdate : decided
    },
    isAlone: () => local !== undefined,
    timesAlone: () => timesAlone,
  }
}

/** The state in which a local breaker starts after `update`. */
function stateAfter(update: BreakerUpdate, now: number): BreakerState {
  return update.state === 'open' ? { state: 'open', since: now, ms: update.forMs, openings: 1 } : CLOSED_BREAKER
}

/** Undefined also from an object of another protocol version, during a roll-out: the isolate decides alone until the object is replaced. */
function sendReport(
  report: BreakerReport,
  { breakers }: Pick<Platform, 'breakers'>,
): Promise<BreakerUpdate | undefined> {
  const { region, upstream } = report
  const send = (breaker: ReturnType<typeof breakers.getByName>) => breaker.report(BREAKER_PROTOCOL, report)
  return callObject(breakers, breakerName(region, upstream), REPORT_TIMEOUT_MS, send, locationOf(region))
}
