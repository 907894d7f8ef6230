import { withTimeout } from '../../lib/time.ts'
import type { Platform } from '../../core/platform.ts'
import { breakerName, locationOf } from '../../core/region.ts'
import { hear, PROTOCOL, type Report, type Verdict } from './breaker-report.ts'
import { CLOSED, type Circuit } from './breaker-state.ts'

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
  return withTimeout<Verdict | undefined>(ANSWER_MS, async () =>
    breakers.getByName(breakerName(region, upstream), locationOf(region)).report(PROTOCOL, report),
  )
}
