import { distance, withTimeout } from './time.ts'

/** Calls a store that may be unreachable, and counts its failures in this isolate. */
export interface StoreHealth {
  /**
   * The result of `call`; undefined when it rejects, gives undefined, or exceeds the timeout. After three failures in a row `call` is not made
   * and the result is undefined at once. Then `probe` is sent every half a second at most, in `waitUntil`; its success ends this.
   */
  readonly call: <T>(
    call: () => Promise<T | undefined>,
    probe: () => Promise<unknown>,
    waitUntil: (work: Promise<unknown>) => void,
  ) => Promise<T | undefined>
  /** Whether the store is only probed: from the third failure in a row to the next success. */
  readonly failing: () => boolean
}

const MAX_FAILURES = 3
const PROBE_INTERVAL_MS = 500

/** Makes the health of one store, so that no request waits for a store that is down. `onChange` runs when `failing` changes; `error` is that of the last call, undefined when it was late or gave no result. */
export function makeStoreHealth(
  now: () => number,
  timeoutMs: number,
  onChange?: (failing: boolean, error?: unknown) => void,
): StoreHealth {
  let failures = 0
  let sentAt = 0
  const failing = () => failures >= MAX_FAILURES
  const send = async <T>(call: () => Promise<T | undefined>) => {
    sentAt = now()
    let error: unknown
    const result = await withTimeout(timeoutMs, async () => {
      try {
        return await call()
      } catch (thrown) {
        error = thrown
        return undefined
      }
    })
    const before = failing()
    failures = result === undefined ? failures + 1 : 0
    if (failing() !== before) onChange?.(!before, error)
    return result
  }
  return {
    failing,
    call(call, probe, waitUntil) {
      if (!failing()) return send(call)
      // The distance, because a clock may step back.
      if (distance(now(), sentAt) >= PROBE_INTERVAL_MS) waitUntil(send(probe))
      return Promise.resolve(undefined)
    },
  }
}
