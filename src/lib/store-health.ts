import { withTimeout } from './time.ts'

/** Asks a store that may be down: plain numbers in this isolate. */
export interface StoreHealth {
  /**
   * What `ask` answers; undefined when it rejects, answers undefined or not within the timeout, and at once while the store rests.
   * Then one call in half a second sends `probe` in `waitUntil`, for which no request waits; its answer ends the rest.
   */
  readonly ask: <T>(
    ask: () => Promise<T | undefined>,
    probe: () => Promise<unknown>,
    waitUntil: (work: Promise<unknown>) => void,
  ) => Promise<T | undefined>
  /** True from the failure that made it rest until it answers again. */
  readonly failing: () => boolean
}

const FAILURES_BEFORE_REST = 3
const PROBE_INTERVAL_MS = 500

/** After three failures in a row a store is only probed, so that a dead one makes no request wait. */
export function makeStoreHealth(
  now: () => number,
  timeoutMs: number,
  turned?: (failing: boolean) => void,
): StoreHealth {
  let failures = 0
  let askedAt = 0
  const failing = () => failures >= FAILURES_BEFORE_REST
  const send = async <T>(ask: () => Promise<T | undefined>) => {
    askedAt = now()
    const answer = await withTimeout(timeoutMs, ask)
    const before = failing()
    failures = answer === undefined ? failures + 1 : 0
    if (failing() !== before) turned?.(!before)
    return answer
  }
  return {
    failing,
    ask(ask, probe, waitUntil) {
      if (!failing()) return send(ask)
      // The distance, because a clock may step back.
      if (Math.abs(now() - askedAt) >= PROBE_INTERVAL_MS) waitUntil(send(probe))
      return Promise.resolve(undefined)
    },
  }
}

/** What a probe takes: it must write, because a store that is full or a read-only copy still answers whoever only reads. */
export const PROBE = {
  spec: { name: 'probe', algorithm: 'fixed-window', limit: 1_000_000_000, windowMs: 1_000 },
  ask: { want: 1, atLeast: 1 },
  key: 'probe',
} as const
