import type { Exchange } from '../../core/exchange.ts'
import { avoidLastTarget } from '../balancing/balance.ts'

/** One of several tries of one exchange at the same time. */
export interface HedgedAttempt {
  /** Its own view of the exchange. */
  readonly x: Exchange
  /** Ends it as if the client had left: no failure of anybody's. */
  readonly end: () => void
}

/** A try that counts with the others of `x`, but ends alone, and goes to another target than `earlier` ones where there is one. */
export function makeHedgedAttempt(x: Exchange, earlier: readonly HedgedAttempt[]): HedgedAttempt {
  let controller: AbortController | undefined
  let isEnded = false
  const end = () => {
    isEnded = true
    controller?.abort()
  }
  // As with `x.signal` itself, which is behind it, a try that never looks pays nothing.
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

/** Field by field: a spread would not copy `signal`, and with `x` as its prototype a copy costs three times as much. */
function viewOf(x: Exchange, signal: () => AbortSignal): Exchange {
  return {
    id: x.id,
    request: x.request,
    headers: x.headers,
    route: x.route,
    path: x.path,
    params: x.params,
    client: x.client,
    // Shared: each try sets its headers and sends them in one go.
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

/** What the latest answers took. */
export interface Latency {
  /** Counts an answer, in milliseconds. */
  readonly record: (ms: number) => void
  /** What 95 % of the latest answers took at most, in milliseconds; undefined until there are 20. */
  readonly p95: () => number | undefined
}

const SAMPLES = 256
const MIN_SAMPLES = 20
/** How many new answers make it worth sorting again. */
const STALE = 16

/**
 * A running 95th percentile: exact (nearest rank) over the latest 256 answers, and at most 16 answers old. What it misses is
 * chance alone: in 19 of 20 cases so few samples put it between the true 92nd and 98th percentile. A ring, because it forgets:
 * an origin that has become slower is known as such after 13 slow answers.
 */
export function makeLatency(): Latency {
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
      if (count - sortedAt >= STALE) {
        const sorted = ring.slice(0, count).sort()
        value = sorted[Math.ceil(sorted.length * 0.95) - 1]!
        sortedAt = count
      }
      return value
    },
  }
}
