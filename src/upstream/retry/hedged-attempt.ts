import type { Exchange } from '../../core/exchange.ts'
import { avoidLastTarget } from '../balancing/balance.ts'

/** One of several concurrent tries of one exchange. */
export interface HedgedAttempt {
  /** Its own view of the exchange. */
  readonly x: Exchange
  /** Aborts it like a client's disconnect, which counts as no failure. */
  readonly end: () => void
}

/** Makes an attempt that shares the attempt count of `x`, can be aborted alone, and avoids the targets of `earlier` ones while there is another. */
export function makeHedgedAttempt(x: Exchange, earlier: readonly HedgedAttempt[]): HedgedAttempt {
  let controller: AbortController | undefined
  let isEnded = false
  const end = () => {
    isEnded = true
    controller?.abort()
  }
  // Lazy like `x.signal` itself: a try that never reads it costs nothing.
  const signal = () => {
    if (controller) return controller.signal
    controller = new AbortController()
    if (isEnded || x.signal.aborted) controller.abort()
    else x.signal.addEventListener('abort', end)
    return controller.signal
  }
  const view = viewOf(x, signal)
  for (const other of earlier) {
    view.target = other.x.target
    avoidLastTarget(view)
  }
  return { x: view, end }
}

/** Copies field by field: a spread would not copy `signal`, and a copy with `x` as its prototype costs three times as much. */
function viewOf(x: Exchange, signal: () => AbortSignal): Exchange {
  return {
    id: x.id,
    request: x.request,
    headers: x.headers,
    route: x.route,
    path: x.path,
    params: x.params,
    client: x.client,
    // Shared: each try sets its headers and sends them without an await in between.
    outgoing: x.outgoing,
    get signal() {
      return signal()
    },
    startedAt: x.startedAt,
    deadline: x.deadline,
    waitUntil: x.waitUntil,
    identity: x.identity,
    edits: x.edits,
    get attempts() {
      return x.attempts
    },
    set attempts(attempts) {
      x.attempts = attempts
    },
    target: undefined,
    uploadProblem: undefined,
    trace: x.trace,
  }
}

/** The latencies of the latest responses. */
export interface LatencyWindow {
  /** Adds a response time in milliseconds. */
  readonly record: (ms: number) => void
  /** The 95th percentile in milliseconds; undefined until there are 20 samples. */
  readonly p95: () => number | undefined
}

const SAMPLES = 256
const MIN_SAMPLES = 20
/** New samples after which the percentile is computed again. */
const SAMPLES_PER_SORT = 16

/**
 * A running 95th percentile: exact (nearest rank) over the latest 256 samples, and at most 16 samples old. Its error is the sampling
 * error alone: in 19 of 20 cases it is between the true 92nd and 98th percentile. The window is a ring buffer, so that a slower origin
 * shows after 13 slow responses.
 */
export function makeLatencyWindow(): LatencyWindow {
  const ring = new Float64Array(SAMPLES)
  let count = 0
  let sortedAt = -Infinity
  let value = 0
  return {
    record: (ms) => {
      ring[count++ % SAMPLES] = ms
    },
    p95: () => {
      if (count < MIN_SAMPLES) return undefined
      if (count - sortedAt >= SAMPLES_PER_SORT) {
        const sorted = ring.slice(0, count).sort()
        value = sorted[Math.ceil(sorted.length * 0.95) - 1]!
        sortedAt = count
      }
      return value
    },
  }
}
