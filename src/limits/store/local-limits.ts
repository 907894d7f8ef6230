import { algorithmOf, type LimiterSpec, type LocalLimiter, type StoreCounters } from '../limiter.ts'
import { takeFrom, type WindowCount } from './windows.ts'

/** About 2 MB at the worst, for each limiter: a flood of keys at one leaves the others alone. A key beyond is counted in the limiter's overflow bucket until rows expire. */
const MAX_ROWS = 10_000

/** A sliding window's row is up to 2 KB of marks. */
const MAX_SLIDING_ROWS = 2_500

/** The limit above which a sliding window is counted by sub-windows here, so that no row has more marks than there are sub-windows. */
const EXACT_UP_TO = 128

/** Looking through all rows for expired ones takes about 0.2 ms, so it happens at most this often. */
const SWEEP_INTERVAL_MS = 1_000

/** The counts of this isolate, a capped map for each limiter: makes the limiter for a spec. */
export function makeLocalLimits(
  now: () => number,
  tally: StoreCounters,
  maxRows = MAX_ROWS,
): (spec: LimiterSpec) => LocalLimiter {
  return (spec) => {
    const rows = new Map<string, WindowCount>()
    const most = algorithmOf(spec) === 'sliding-window' ? Math.min(maxRows, MAX_SLIDING_ROWS) : maxRows
    const overflow: WindowCount = { endsAt: 0, used: 0 }
    let sweptAt = 0
    const hasRoom = (at: number) => {
      if (rows.size < most) return true
      if (Math.abs(at - sweptAt) < SWEEP_INTERVAL_MS) return false
      sweptAt = at
      for (const [key, row] of rows) if (row.endsAt <= at) rows.delete(key)
      return rows.size < most
    }
    const makeRow = (key: string, at: number) => {
      if (!hasRoom(at)) {
        tally.overflows++
        return overflow
      }
      const row: WindowCount = { endsAt: 0, used: 0 }
      rows.set(key, row)
      return row
    }
    const rowOf = (key: string, at: number) => rows.get(key) ?? makeRow(key, at)
    const takeAll = (row: WindowCount, cost: number, at: number) =>
      takeFrom(row, spec, { want: cost, atLeast: cost }, at, EXACT_UP_TO)
    return {
      take(key, cost) {
        const at = now()
        const { granted, remaining, resetMs } = takeAll(rowOf(key, at), cost, at)
        return { allowed: granted >= cost, remaining, resetMs, decidedAt: at }
      },
      drain(key, amount) {
        const at = now()
        const row = rowOf(key, at)
        const taken = Math.min(amount, takeAll(row, 0, at).remaining)
        takeAll(row, taken, at)
        return taken > 0 ? [{ taken, decidedAt: at }] : []
      },
    }
  }
}
