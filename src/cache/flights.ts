import { within } from '../lib/within.ts'

/** How a leader's work ended. `uncacheable`: nothing was stored, and for a while nobody waits for this key; `failed`: nothing was stored this time. */
export type Outcome = 'stored' | 'uncacheable' | 'failed'

/** What whoever comes is to do: ask the origin for all, wait for the one who does, or what he has just ended with. `full`: go on alone. */
export type Place = 'lead' | 'follow' | 'full' | Exclude<Outcome, 'failed'>

/** Milliseconds for which a leader is believed to be at work; after it everybody goes on by himself, and the next to come leads. */
export const LEASE_MS = 5_000
/** How long an outcome is told to those who had looked for an entry before it was stored, and ask now. Milliseconds. */
export const LINGER_MS = 500

/** Who is fetching what, in one place. */
export interface Flights {
  readonly join: (key: string) => Place
  /** The leader's outcome; `over` when it has not come within `waitMs` milliseconds, or the lease has ended. */
  readonly wait: (key: string, waitMs: number) => Promise<Outcome | 'over'>
  readonly finish: (key: string, outcome: Outcome) => void
}

interface Flight {
  /** Epoch milliseconds. */
  readonly until: number
  readonly outcome: Exclude<Outcome, 'failed'> | undefined
  readonly waiting: Set<(outcome: Outcome) => void>
}

/** In memory alone: a restart costs one more request to the origin. */
export function makeFlights(now: () => number, maxFlights = 10_000): Flights {
  const flights = new Map<string, Flight>()
  const current = (key: string) => {
    const flight = flights.get(key)
    return flight && leftOf(flight) > 0 ? flight : undefined
  }
  // More than a lease is left only when the clock has stepped back: nobody knows how much then.
  const leftOf = ({ until }: Flight) => (until - now() > LEASE_MS ? 0 : until - now())
  const sweep = () => {
    for (const [key, flight] of flights) {
      if (leftOf(flight) > 0) return
      flights.delete(key)
    }
  }

  return {
    join(key) {
      const flight = current(key)
      if (flight) return flight.outcome ?? 'follow'
      sweep()
      if (flights.size >= maxFlights) return 'full'
      flights.delete(key)
      flights.set(key, { until: now() + LEASE_MS, outcome: undefined, waiting: new Set() })
      return 'lead'
    },
    async wait(key, waitMs) {
      const flight = current(key)
      if (flight === undefined) return 'over'
      if (flight.outcome) return flight.outcome
      let tell: ((outcome: Outcome) => void) | undefined
      const told = new Promise<Outcome>((resolve) => flight.waiting.add((tell = resolve)))
      const outcome = await within(Math.min(waitMs, leftOf(flight)), () => told)
      flight.waiting.delete(tell!)
      return outcome ?? 'over'
    },
    finish(key, outcome) {
      const flight = flights.get(key)
      flights.delete(key)
      if (outcome !== 'failed') flights.set(key, { until: now() + LINGER_MS, outcome, waiting: new Set() })
      for (const tell of flight?.waiting ?? []) tell(outcome)
    },
  }
}
