import { type Count, takeFrom } from './count.ts'
import type { LimiterSpec, LimitTally, LocalLimiter } from './limiter.ts'

/** About 2 MB at the worst, for each limiter: a flood of keys at one leaves the others alone. A key beyond is counted in the limiter's overflow bucket until rows expire. */
const MAX_ROWS = 10_000

/** Looking through all rows for expired ones takes about 0.2 ms, so it happens at most this often. */
const SWEEP_INTERVAL_MS = 1_000

/** The counts of this isolate, a capped map for each limiter: makes the limiter for a spec. */
export function makeLocalLimits(
  now: () => number,
  tally: LimitTally,
  maxRows = MAX_ROWS,
): (spec: LimiterSpec) => LocalLimiter {
  return (spec) => {
    const rows = new Map<string, Count>()
    const overflow: Count = { endsAt: 0, used: 0 }
    let sweptAt = 0
    const hasRoom = (at: number) => {
      if (rows.size < maxRows) return true
      if (Math.abs(at - sweptAt) < SWEEP_INTERVAL_MS) return false
      sweptAt = at
      for (const [key, row] of rows) if (row.endsAt <= at) rows.delete(key)
      return rows.size < maxRows
    }
    const makeRow = (key: string, at: number) => {
      if (!hasRoom(at)) {
        tally.overflows++
        return overflow
      }
      const row: Count = { endsAt: 0, used: 0 }
      rows.set(key, row)
      return row
    }
    return {
      take(key, cost) {
        const at = now()
        return takeFrom(rows.get(key) ?? makeRow(key, at), spec, cost, at)
      },
    }
  }
}
