import type { Exchange } from '../../core/exchange.ts'
import type { CallCounters } from './breaker-state.ts'

/** The least time between two reports, in milliseconds: at most five a second from an isolate. */
const COLLECT_MS = 200
/** How long an isolate with traffic goes without a report, in milliseconds: what it may learn is no older than this. */
const POLL_MS = 1_000
/** A batch that was opened longer ago than this, in milliseconds, has died with the request that was to report it. */
const LOST_MS = 2_000

/** Calls that are yet to be reported. Clocks may step back: what counts is the distance. */
export interface ReportBuffer {
  readonly record: (x: Exchange, failed: boolean, slow: boolean, now: number) => void
  /** Has a report sent as soon as may be, and waits for it unless another request sends it. */
  readonly flush: (x: Exchange, now: number) => Promise<void>
  /** Has a report sent when there was none for a second. */
  readonly poll: (x: Exchange, now: number) => void
  /** Empties the batch, for the report that is sent now. */
  readonly take: (now: number) => CallCounters
}

/** `report` is called by the request that opened the batch, in its own `waitUntil`: what one request has begun is cancelled with it, whoever else waits for it. */
export function makeReportBuffer(report: (x: Exchange) => Promise<void>): ReportBuffer {
  let calls = 0
  let failures = 0
  let slowCalls = 0
  let openedAt = -Infinity
  let sentAt = -Infinity
  const isOpen = (now: number) => Math.abs(now - openedAt) < LOST_MS
  const open = (x: Exchange, ms: number, now: number): Promise<void> => {
    openedAt = now
    const reported = ms > 0 ? sleep(ms).then(() => report(x)) : report(x)
    x.waitUntil(reported)
    return reported
  }
  const urge = async (x: Exchange, now: number): Promise<void> => {
    if (!isOpen(now)) await open(x, COLLECT_MS - Math.abs(now - sentAt), now)
  }
  return {
    record: (x, failed, slow, now) => {
      calls++
      if (failed) failures++
      if (slow) slowCalls++
      if (!isOpen(now)) void open(x, COLLECT_MS, now)
    },
    flush: urge,
    poll: (x, now) => {
      if (Math.abs(now - sentAt) >= POLL_MS) void urge(x, now)
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

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
