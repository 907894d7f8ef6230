import type { Exchange } from '../exchange.ts'
import type { Tally } from './circuit.ts'

/** How long calls are collected, in milliseconds: at most five reports a second from an isolate. */
const COLLECT_MS = 200
/** A batch that was opened longer ago than this, in milliseconds, has died with the request that was to report it. */
const LOST_MS = 2_000

/** Calls that are yet to be reported. */
export interface CircuitBatch {
  readonly record: (x: Exchange, failed: boolean, slow: boolean, now: number) => void
  /** Empties the batch. */
  readonly take: () => Tally
}

/** `report` is called a little after the first of its calls, by the request that made that one. */
export function makeCircuitBatch(report: () => Promise<void>): CircuitBatch {
  let calls = 0
  let failures = 0
  let slowCalls = 0
  let openedAt = -Infinity
  return {
    record: (x, failed, slow, now) => {
      calls++
      if (failed) failures++
      if (slow) slowCalls++
      // The distance, because a clock may step back.
      if (Math.abs(now - openedAt) < LOST_MS) return
      openedAt = now
      // In this request's own `waitUntil`: what one request has begun is cancelled with it, whoever else waits for it.
      x.waitUntil(sleep(COLLECT_MS).then(report))
    },
    take: () => {
      const tally = { calls, failures, slow: slowCalls }
      calls = failures = slowCalls = 0
      openedAt = -Infinity
      return tally
    },
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
