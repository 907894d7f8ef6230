import { distance } from '../../lib/time.ts'
import { algorithmOf, type LimiterSpec, type LocalLimiter, type StoreCounters } from '../limiter.ts'
import { takeFrom, type WindowCount } from './windows.ts'

/** Rows of one limiter, about 2 MB, so that a flood of keys at one limiter does not affect the others. A key beyond is counted in the limiter's overflow row until rows expire. */
const MAX_ROWS = 10_000

/** A sliding window's row is up to 2 KB of marks. */
const MAX_SLIDING_ROWS = 2_500

/** The limit above which a sliding window is counted by sub-windows here, so that no row has more marks than there are sub-windows. */
const EXACT_UP_TO = 128

/** The least time between two scans for expired rows, which take about 0.2 ms. Milliseconds. */
const SWEEP_INTERVAL_MS = 1_000

/** Makes the limiters of this isolate, a capped map of counts for each spec. */
export function makeLocalLimits(
  now: () => number,
  counters: StoreCounters,
  maxRows = MAX_ROWS,
): (spec: LimiterSpec) => LocalLimiter {
  return (spec) => {
    const rowCap = algorithmOf(spec) === 'sliding-window' ? Math.min(maxRows, MAX_SLIDING_ROWS) : maxRows
    const rowOf = makeRows(rowCap, counters)
    const takeWhole = (row: WindowCount, cost: number, at: number) =>
      takeFrom(row, spec, { want: cost, atLeast: cost }, at, EXACT_UP_TO)
    return {
      take(key, cost) {
        const at = now()
        const { granted, remaining, resetMs } = takeWhole(rowOf(key, at), cost, at)
        return { allowed: granted >= cost, remaining, resetMs, decidedAt: at }
      },
      drain(key, amount) {
        const at = now()
        const row = rowOf(key, at)
        const taken = Math.min(amount, takeWhole(row, 0, at).remaining)
        takeWhole(row, taken, at)
        return taken > 0 ? [{ taken, decidedAt: at }] : []
      },
    }
  }
}

/** The count of a key; a key beyond the cap gets the overflow count, until rows expire. */
function makeRows(cap: number, counters: StoreCounters): (key: string, at: number) => WindowCount {
  const rows = new Map<string, WindowCount>()
  const overflow: WindowCount = { endsAt: 0, used: 0 }
  let sweptAt = 0
  const hasRoom = (at: number) => {
    if (rows.size < cap) return true
    if (distance(at, sweptAt) < SWEEP_INTERVAL_MS) return false
    sweptAt = at
    for (const [key, row] of rows) if (row.endsAt <= at) rows.delete(key)
    return rows.size < cap
  }
  const addRow = (key: string, at: number) => {
    if (!hasRoom(at)) {
      counters.overflows++
      return overflow
    }
    const row: WindowCount = { endsAt: 0, used: 0 }
    rows.set(key, row)
    return row
  }
  return (key, at) => rows.get(key) ?? addRow(key, at)
}
