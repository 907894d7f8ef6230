import type { Exchange } from '../core/exchange.ts'

/** Why the gateway itself ended a try. */
export type EndReason = 'timeout' | 'client-gone' | 'upload-broken'

/** One try in flight: its one AbortController and its one timer. Plain data, since every request makes one. */
export interface Attempt {
  readonly controller: AbortController
  readonly load: InFlightCount
  /** Undefined while the gateway has not ended it. */
  ending: EndReason | undefined
  /** Undefined once the try is closed. */
  timer: ReturnType<typeof setTimeout> | undefined
}

/** Counts the tries that wait for response headers. */
export interface InFlightCount {
  inFlight: number
}

/**
 * Milliseconds after which an attempt starts to listen for the client's abort. Listening costs workerd as much as a fifth of a whole
 * short request, and ends nothing early for an origin that has responded by then.
 */
const ABORT_LISTEN_DELAY_MS = 50

/** Starts a try that ends after `ms` milliseconds, or when the client disconnects; `onClientGone` is then called. */
export function openAttempt(x: Exchange, ms: number, load: InFlightCount, onClientGone?: () => void): Attempt {
  const attempt: Attempt = { controller: new AbortController(), load, ending: undefined, timer: undefined }
  load.inFlight++
  const startWatching = () => {
    attempt.timer = setTimeout(endAttempt, ms - ABORT_LISTEN_DELAY_MS, attempt, 'timeout')
    watchClient(x, attempt, onClientGone)
  }
  attempt.timer =
    ms > ABORT_LISTEN_DELAY_MS
      ? setTimeout(startWatching, ABORT_LISTEN_DELAY_MS)
      : setTimeout(endAttempt, ms, attempt, 'timeout')
  return attempt
}

/**
 * Ends the try when the client disconnects. On a client's reset workerd drops the handler and what it awaits, and no `finally` runs.
 * The abort event still arrives, so the try is closed from there too.
 */
function watchClient(x: Exchange, attempt: Attempt, onClientGone?: () => void): void {
  const leave = () => {
    if (attempt.timer === undefined) return
    endAttempt(attempt, 'client-gone')
    closeAttempt(attempt)
    onClientGone?.()
  }
  x.signal.addEventListener('abort', leave)
  if (x.signal.aborted) leave()
}

/** Aborts the try's fetch and records why; the first reason given while the try is open is kept. */
export function endAttempt(attempt: Attempt, ending: EndReason): void {
  if (attempt.timer !== undefined) attempt.ending ??= ending
  attempt.controller.abort()
}

/** Clears the timer and decrements the in-flight count. Idempotent. */
export function closeAttempt(attempt: Attempt): void {
  if (attempt.timer === undefined) return
  clearTimeout(attempt.timer)
  attempt.timer = undefined
  attempt.load.inFlight--
}
