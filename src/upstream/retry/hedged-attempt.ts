import type { Exchange } from '../../core/exchange.ts'
import { avoidLastTarget } from '../balancing/balance.ts'

/** One of several tries of one exchange at the same time. */
export interface Arm {
  /** Its own view of the exchange. */
  readonly x: Exchange
  /** Ends it as if the client had left: no failure of anybody's. */
  readonly end: () => void
}

/** A try that counts with the others of `x`, but ends alone, and goes to another target than `earlier` ones where there is one. */
export function makeArm(x: Exchange, earlier: readonly Arm[]): Arm {
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
