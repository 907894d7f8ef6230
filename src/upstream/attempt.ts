import type { Exchange } from '../core/exchange.ts'
/** Why the gateway itself ended a try. */
export type EndReason = 'timeout' | 'client-gone' | 'upload-broken'

/** One try in flight: its one AbortController and its one timer. Plain data, since every request makes one. */
export interface Attempt {
  readonly controller: AbortController
  readonly load: InFlightCount
  /** Undefined while nothing but the origin can have ended it. */
  ending: EndReason | undefined
  /** Undefined once the try is closed. */
  timer: ReturnType<typeof setTimeout> | undefined
}

/** Counts the tries that wait for response headers. */
export interface InFlightCount {
  inFlight: number
}

/**
 * How long an answer may take before anybody looks whether the client is still there, in milliseconds. To listen to the client's
 * connection costs workerd as much as a fifth of a whole short request; an origin that has answered by then is spared nothing.
 */
const UNWATCHED_MS = 50

/** Starts a try that may take `ms` milliseconds and ends early when the client leaves, which `gone` is told. */
export function openAttempt(x: Exchange, ms: number, load: InFlightCount, gone?: () => void): Attempt {
  const attempt: Attempt = { controller: new AbortController(), load, ending: undefined, timer: undefined }
  load.inFlight++
  const watch = () => {
    attempt.timer = setTimeout(endAttempt, ms - UNWATCHED_MS, attempt, 'timeout')
    watchClient(x, attempt, gone)
  }
  attempt.timer = ms > UNWATCHED_MS ? setTimeout(watch, UNWATCHED_MS) : setTimeout(endAttempt, ms, attempt, 'timeout')
  return attempt
}

/**
 * A client's reset makes workerd drop the handler with whatever it awaits: no `finally` runs. The abort event is what still
 * arrives, so what the try holds is given back from there too.
 */
function watchClient(x: Exchange, attempt: Attempt, gone?: () => void): void {
  const leave = () => {
    if (attempt.timer === undefined) return
    endAttempt(attempt, 'client-gone')
    closeAttempt(attempt)
    gone?.()
  }
  x.signal.addEventListener('abort', leave)
  if (x.signal.aborted) leave()
}

/** Aborts the try's fetch; the first reason that comes while it is open is why. */
export function endAttempt(attempt: Attempt, ending: EndReason): void {
  if (attempt.timer !== undefined) attempt.ending ??= ending
  attempt.controller.abort()
}

/** Disarms the timer and gives back what the try holds. Idempotent. */
export function closeAttempt(attempt: Attempt): void {
  if (attempt.timer === undefined) return
  clearTimeout(attempt.timer)
  attempt.timer = undefined
  attempt.load.inFlight--
}
