import { within } from '../lib/within.ts'
import type { Site } from '../policy.ts'
import { hear, PROTOCOL, type Report, type Verdict } from './circuit-report.ts'
import { CLOSED, type Circuit } from './circuit.ts'

/** The object's time to answer, in milliseconds. No request waits for it; the next report does. */
const ANSWER_MS = 500

/** Whoever keeps the circuit that this isolate reports to: the upstream's Durable Object, or for want of it the isolate itself. */
export interface Keeper {
  /** Never rejects. */
  readonly tell: (report: Report) => Promise<Verdict>
  /** Whether the object could not be reached the last time, so that this isolate decides alone. */
  readonly isAlone: () => boolean
}

export function makeKeeper(upstream: string, site: Site): Keeper {
  let own: Circuit | undefined
  let lastHeard: Circuit = CLOSED
  return {
    tell: async (report) => {
      const verdict = await askObject(upstream, report, site)
      const now = site.now()
      if (verdict !== undefined) {
        own = undefined
        lastHeard = verdict.state === 'open' ? { state: 'open', since: now, ms: verdict.forMs, openings: 1 } : CLOSED
        return verdict
      }
      const [next, decided] = hear(own ?? lastHeard, report, `own-${now}-${site.random()}`, now)
      own = next
      return decided
    },
    isAlone: () => own !== undefined,
  }
}

function askObject(upstream: string, report: Report, site: Site): Promise<Verdict | undefined> {
  // The name begins with a region, although there is one yet: an object for each region can be added without renaming this one.
  return within<Verdict | undefined>(ANSWER_MS, async () =>
    site.breakers.getByName(`local:${upstream}`).report(PROTOCOL, report),
  )
}
