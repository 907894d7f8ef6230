import { withTimeout } from '../../lib/time.ts'
/** How a leader's work ended. `uncacheable`: nothing was stored, and for a while nobody waits for this key; `failed`: nothing was stored this time. */
export type FetchOutcome = 'stored' | 'uncacheable' | 'failed'

/** What whoever comes is to do: ask the origin for all, wait for the one who does, or what he has just ended with. `full`: go on alone. */
export type JoinResult = 'lead' | 'follow' | 'full' | Exclude<FetchOutcome, 'failed'>

/** What comes of waiting. `lead`: the leader has failed, or is gone; `failed`: he has failed often, go on alone; `over`: the time is. */
export type WaitResult = FetchOutcome | 'lead' | 'over'

/** Milliseconds for which a leader is believed to be at work; after it one of those who wait leads, else the next to come. */
export const FETCH_LEASE_MS = 5_000
/** How long an outcome is told to those who had looked for an entry before it was stored, and ask now. Milliseconds. */
export const LINGER_MS = 500

/** Who is fetching what, in one place. */
export interface InFlightFetches {
  /** `hasRead`: what was stored has been of no use, so hearing of it again is not either. */
  readonly join: (key: string, hasRead?: boolean) => JoinResult
  /** Within `waitMs` milliseconds. */
  readonly wait: (key: string, waitMs: number) => Promise<WaitResult>
  /** After `failed` one of those who wait leads; each further failure lets twice as many go on, for they cannot all try in turn. */
  readonly finish: (key: string, outcome: FetchOutcome) => void
}

interface Flight {
  /** Epoch milliseconds. */
  readonly until: number
  readonly outcome: Exclude<FetchOutcome, 'failed'> | undefined
  /** Whoever has waited longest is the first. */
  readonly waiting: Set<(told: WaitResult) => void>
  /** How many have led in vain before this leader. */
  readonly failures: number
}

/** In memory alone: a restart costs one more request to the origin. */
export function makeInFlightFetches(now: () => number, maxFlights = 10_000): InFlightFetches {
  const flights = new Map<string, Flight>()
  const current = (key: string) => {
    const flight = flights.get(key)
    return flight && leftOf(flight) > 0 ? flight : undefined
  }
  // More than a lease is left only when the clock has stepped back: nobody knows how much then.
  const leftOf = ({ until }: Flight) => (until - now() > FETCH_LEASE_MS ? 0 : until - now())
  const sweep = () => {
    for (const [key, flight] of flights) {
      if (leftOf(flight) > 0) return
      flights.delete(key)
    }
  }

  // The map has them in the order in which they end, but for those few whose outcome lingers.
  const set = (key: string, ms: number, flight: Partial<Flight>) => {
    flights.delete(key)
    flights.set(key, { until: now() + ms, outcome: undefined, waiting: new Set(), failures: 0, ...flight })
  }
  const join: InFlightFetches['join'] = (key, hasRead = false) => {
    const flight = current(key)
    if (flight && !(hasRead && flight.outcome === 'stored')) return flight.outcome ?? 'follow'
    sweep()
    if (flights.size >= maxFlights) return 'full'
    set(key, FETCH_LEASE_MS, {})
    return 'lead'
  }
  const wait: InFlightFetches['wait'] = async (key, waitMs) => {
    if (waitMs <= 0) return 'over'
    const place = join(key)
    if (place !== 'follow') return place === 'full' ? 'over' : place
    const flight = flights.get(key)!
    const leaseMs = leftOf(flight)
    const { promise, resolve: tell } = Promise.withResolvers<WaitResult>()
    flight.waiting.add(tell)
    const told = await withTimeout(Math.min(waitMs, leaseMs), () => promise)
    flight.waiting.delete(tell)
    return told ?? wait(key, waitMs - leaseMs)
  }
  const handOn = (key: string, { waiting, failures }: Flight) => {
    const released = [...waiting].slice(0, 2 ** failures)
    for (const tell of released) waiting.delete(tell)
    set(key, FETCH_LEASE_MS, { waiting, failures: failures + 1 })
    for (const [i, tell] of released.entries()) tell(i === 0 ? 'lead' : 'failed')
  }

  return {
    join,
    wait,
    finish(key, outcome) {
      const flight = flights.get(key)
      if (outcome === 'failed' && flight !== undefined && flight.waiting.size > 0) return handOn(key, flight)
      flights.delete(key)
      if (outcome !== 'failed') set(key, LINGER_MS, { outcome })
      for (const tell of flight?.waiting ?? []) tell(outcome)
    },
  }
}
