import type { Exchange } from '../../core/exchange.ts'
import { distance, sleep } from '../../lib/time.ts'
import type { CallCounters } from './breaker-state.ts'

/** The least time between two reports, in milliseconds: at most five a second from an isolate. */
const COLLECT_MS = 200
/** The most time between two reports of an isolate with traffic, in milliseconds; its snapshot is at most this old. */
const POLL_MS = 1_000
/** A buffer that was opened longer ago than this, in milliseconds, was lost with the request that had to report it. */
const LOST_MS = 2_000

/** Calls that are not reported yet. Ages are absolute distances, because a clock may step back. */
export interface ReportBuffer {
  readonly record: (x: Exchange, failed: boolean, slow: boolean, now: number) => void
  /** Sends a report as soon as the interval allows; resolves when it is sent, or at once when another request sends it. */
  readonly flush: (x: Exchange, now: number) => Promise<void>
  /** Sends a report when the last is a second old. */
  readonly poll: (x: Exchange, now: number) => void
  /** Empties the buffer into the report that is sent now. */
  readonly take: (now: number) => CallCounters
}

/** `report` runs in the `waitUntil` of the request that opened the buffer: on Workers no request may await the promise of another. */
export function makeReportBuffer(report: (x: Exchange) => Promise<void>): ReportBuffer {
  let calls = 0
  let failures = 0
  let slowCalls = 0
  let openedAt = -Infinity
  let sentAt = -Infinity
  const isOpen = (now: number) => distance(now, openedAt) < LOST_MS
  const open = (x: Exchange, ms: number, now: number): Promise<void> => {
    openedAt = now
    const reported = ms > 0 ? sleep(ms).then(() => report(x)) : report(x)
    x.waitUntil(reported)
    return reported
  }
  const flush = async (x: Exchange, now: number): Promise<void> => {
    if (!isOpen(now)) await open(x, COLLECT_MS - distance(now, sentAt), now)
  }
  return {
    record: (x, failed, slow, now) => {
      calls++
      if (failed) failures++
      if (slow) slowCalls++
      if (!isOpen(now)) void open(x, COLLECT_MS, now)
    },
    flush,
    poll: (x, now) => {
      if (distance(now, sentAt) >= POLL_MS) void flush(x, now)
    },
    take: (now) => {
      const counters = { calls, failures, slow: slowCalls }
      calls = failures = slowCalls = 0
      openedAt = -Infinity
      sentAt = now
      return counters
    },
  }
}
