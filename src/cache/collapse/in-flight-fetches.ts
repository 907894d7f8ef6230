import { withTimeout } from '../../lib/time.ts'

/** How a leader's fetch ended. `uncacheable`: nothing was stored, and for a while no request waits for this key; `failed`: nothing was stored this time. */
export type FetchOutcome = 'stored' | 'uncacheable' | 'failed'

/** What a request does: fetch for all, wait for the leader, or use the outcome that has just come. `full`: go on alone. */
export type JoinResult = 'lead' | 'follow' | 'full' | Exclude<FetchOutcome, 'failed'>

/** The end of a wait. `lead`: the leader has failed or is gone; `failed`: leaders have failed often, go on alone; `over`: the time is up. */
export type WaitResult = FetchOutcome | 'lead' | 'over'

/** How long a leader counts as alive, in milliseconds; after it a waiting request leads, or the next that comes. */
export const FETCH_LEASE_MS = 5_000
/** How long an outcome is kept for requests that read the store before the response was in it, in milliseconds. */
export const LINGER_MS = 500

/** The fetches that are in flight in one place, by key. */
export interface InFlightFetches {
  /** `hasRead`: the stored response was read and of no use, so the outcome `stored` is none either. */
  readonly join: (key: string, hasRead?: boolean) => JoinResult
  /** Waits for the leader, `waitMs` milliseconds at most. */
  readonly wait: (key: string, waitMs: number) => Promise<WaitResult>
  /** After `failed` one waiting request leads; each further failure releases twice as many, because they cannot all try in turn. */
  readonly finish: (key: string, outcome: FetchOutcome) => void
}

interface InFlightFetch {
  /** Epoch milliseconds. */
  readonly until: number
  readonly outcome: Exclude<FetchOutcome, 'failed'> | undefined
  /** The resolvers of waiting requests, the longest wait first. */
  readonly waiting: Set<(result: WaitResult) => void>
  /** How many leaders have failed before this one. */
  readonly failures: number
}

/** Makes an empty table. It is in memory alone: a restart costs one more request to the origin. */
export function makeInFlightFetches(now: () => number, maxFetches = 10_000): InFlightFetches {
  const { current, add, remove, hasRoom, remainingMs } = makeTable(now, maxFetches)
  const join: InFlightFetches['join'] = (key, hasRead = false) => {
    const fetch = current(key)
    if (fetch && !(hasRead && fetch.outcome === 'stored')) return fetch.outcome ?? 'follow'
    if (!hasRoom()) return 'full'
    add(key, FETCH_LEASE_MS, {})
    return 'lead'
  }
  const wait: InFlightFetches['wait'] = async (key, waitMs) => {
    if (waitMs <= 0) return 'over'
    const joined = join(key)
    if (joined !== 'follow') return joined === 'full' ? 'over' : joined
    const fetch = current(key)!
    const leaseMs = remainingMs(fetch)
    const { promise, resolve } = Promise.withResolvers<WaitResult>()
    fetch.waiting.add(resolve)
    const result = await withTimeout(Math.min(waitMs, leaseMs), () => promise)
    fetch.waiting.delete(resolve)
    return result ?? wait(key, waitMs - leaseMs)
  }
  return {
    join,
    wait,
    finish(key, outcome) {
      const fetch = remove(key)
      if (outcome === 'failed' && fetch !== undefined && fetch.waiting.size > 0) {
        const { waiting, failures } = fetch
        const released = [...waiting].slice(0, 2 ** failures)
        for (const resolve of released) waiting.delete(resolve)
        add(key, FETCH_LEASE_MS, { waiting, failures: failures + 1 })
        for (const [i, resolve] of released.entries()) resolve(i === 0 ? 'lead' : 'failed')
        return
      }
      if (outcome !== 'failed') add(key, LINGER_MS, { outcome })
      for (const resolve of fetch?.waiting ?? []) resolve(outcome)
    },
  }
}

function makeTable(now: () => number, maxFetches: number) {
  // In the order in which the fetches end, except for the few whose outcome lingers.
  const fetches = new Map<string, InFlightFetch>()
  // More than a lease remains only after the clock has stepped back; the time that really remains is not known then.
  const remainingMs = ({ until }: InFlightFetch) => (until - now() > FETCH_LEASE_MS ? 0 : until - now())
  return {
    remainingMs,
    current: (key: string): InFlightFetch | undefined => {
      const fetch = fetches.get(key)
      return fetch && remainingMs(fetch) > 0 ? fetch : undefined
    },
    add: (key: string, ms: number, fetch: Partial<InFlightFetch>) => {
      fetches.delete(key)
      fetches.set(key, { until: now() + ms, outcome: undefined, waiting: new Set(), failures: 0, ...fetch })
    },
    remove: (key: string): InFlightFetch | undefined => {
      const fetch = fetches.get(key)
      fetches.delete(key)
      return fetch
    },
    /** Removes the fetches that are over. */
    hasRoom: (): boolean => {
      for (const [key, fetch] of fetches) {
        if (remainingMs(fetch) > 0) break
        fetches.delete(key)
      }
      return fetches.size < maxFetches
    },
  }
}
