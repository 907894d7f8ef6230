import { reachesThreshold, type BreakerSettings } from './breaker-state.ts'

/** The calls of one isolate within the breaker's window, in tenths of it. */
export interface CallWindow {
  /** Counts a call; `now` in epoch milliseconds. Returns whether the calls in the window reach the threshold at which a breaker opens. */
  readonly record: (failed: boolean, slow: boolean, now: number) => boolean
  /** Forgets all calls. */
  readonly reset: () => void
}

const SLOTS = 10

/** Makes an empty window. It keeps its counters in place, because every call writes them. */
export function makeCallWindow(settings: BreakerSettings): CallWindow {
  const calls = makeZeros()
  const failures = makeZeros()
  const slowCalls = makeZeros()
  const total = { calls: 0, failures: 0, slow: 0 }
  let newest = 0

  const clear = (slot: number) => {
    total.calls -= calls[slot]!
    total.failures -= failures[slot]!
    total.slow -= slowCalls[slot]!
    calls[slot] = failures[slot] = slowCalls[slot] = 0
  }
  const reset = () => {
    for (let slot = 0; slot < SLOTS; slot++) clear(slot)
  }
  /** Clears the slots that have expired. A clock that was set back keeps counting in the newest slot, or starts again if that is a window ahead. */
  const advance = (now: number) => {
    const nth = Math.floor((now / settings.window) * SLOTS)
    if (Math.abs(nth - newest) >= SLOTS) {
      reset()
      newest = nth
    }
    while (newest < nth) clear(++newest % SLOTS)
  }

  return {
    reset,
    record: (failed, slow, now) => {
      advance(now)
      const slot = newest % SLOTS
      calls[slot]!++
      total.calls++
      if (failed) failures[slot]!++
      if (failed) total.failures++
      if (slow) slowCalls[slot]!++
      if (slow) total.slow++
      return (total.failures > 0 || total.slow > 0) && reachesThreshold(total, settings)
    },
  }
}

function makeZeros(): number[] {
  return Array.from({ length: SLOTS }, () => 0)
}
