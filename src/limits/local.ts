import { hasEnded, type LimiterSpec, type LimitTally, type LocalLimiter, windowEnd } from './limiter.ts'

interface Row {
  endsAt: number
  used: number
}

/** About 2 MB at the worst, for each limiter: a flood of keys at one leaves the others alone. A key beyond is counted in the limiter's overflow bucket until rows expire. */
const MAX_ROWS = 10_000

/** Looking through all rows for expired ones takes about 0.2 ms, so it happens at most this often. */
const SWEEP_INTERVAL_MS = 1_000

/** The fixed windows of this isolate, a capped map for each limiter: makes the limiter for a spec. */
export function makeLocalWindows(
  now: () => number,
  tally: LimitTally,
  maxRows = MAX_ROWS,
): (spec: LimiterSpec) => LocalLimiter {
  return ({ limit, windowMs }) => {
    const rows = new Map<string, Row>()
    const overflow: Row = { endsAt: 0, used: 0 }
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
      const row: Row = { endsAt: 0, used: 0 }
      rows.set(key, row)
      return row
    }
    return {
      take(key, cost) {
        const at = now()
        const row = rows.get(key) ?? makeRow(key, at)
        if (hasEnded(row.endsAt, at, windowMs)) {
          row.endsAt = windowEnd(at, windowMs)
          row.used = 0
        }
        const allowed = row.used + cost <= limit
        if (allowed) row.used += cost
        return { allowed, remaining: limit - row.used, resetMs: row.endsAt - at }
      },
    }
  }
}
