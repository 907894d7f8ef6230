/** Whether a store is worth asking: plain numbers in this isolate. */
export interface StoreHealth {
  /** False while the store is left alone. */
  readonly usable: () => boolean
  readonly record: (answered: boolean) => void
  /** True from the failure that made it rest until it answers again. */
  readonly failing: () => boolean
}

const FAILURES_BEFORE_REST = 3
const REST_MS = 1_000

/** After three failures in a row a store is asked by one request a second, so that a dead one does not make every request wait. */
export function makeStoreHealth(now: () => number): StoreHealth {
  let failures = 0
  let askedAt = 0
  const failing = () => failures >= FAILURES_BEFORE_REST
  return {
    failing,
    usable() {
      // The distance, because a clock may step back.
      if (failing() && Math.abs(now() - askedAt) < REST_MS) return false
      askedAt = now()
      return true
    },
    record(answered) {
      failures = answered ? 0 : failures + 1
    },
  }
}
