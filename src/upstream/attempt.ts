import type { Exchange } from '../core/exchange.ts'

/** Why the gateway itself ended a try. */
export type EndReason = 'timeout' | 'upload-idle' | 'client-gone' | 'upload-broken'

/** One try in flight: its one AbortController and its one timer. Plain data, since every request makes one. */
export interface Attempt {
  readonly controller: AbortController
  readonly load: InFlightCount
  /** Starts to listen for the client's abort. */
  readonly startWatching: () => void
  isWatched: boolean
  /** When the gateway will end it, epoch milliseconds, and why. */
  endsAt: number
  endsAs: EndReason
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

/** Starts a try that ends when the client disconnects, of which `onClientGone` is told. `limitAttempt` gives it an end in time. */
export function openAttempt(x: Exchange, load: InFlightCount, now: () => number, onClientGone?: () => void): Attempt {
  const startWatching = () => {
    attempt.isWatched = true
    arm(attempt, now())
    watchClient(x, attempt, onClientGone)
  }
  const attempt: Attempt = {
    controller: new AbortController(),
    load,
    startWatching,
    isWatched: false,
    endsAt: Infinity,
    endsAs: 'timeout',
    ending: undefined,
    timer: setTimeout(startWatching, ABORT_LISTEN_DELAY_MS),
  }
  load.inFlight++
  return attempt
}

/** Sets when and why an open try ends, in place of what was set before. `endsAt` and `now` in epoch milliseconds. */
export function limitAttempt(attempt: Attempt, endsAt: number, endsAs: EndReason, now: number): void {
  if (attempt.timer === undefined) return
  attempt.endsAt = endsAt
  attempt.endsAs = endsAs
  if (attempt.isWatched) arm(attempt, now)
  else if (endsAt - now < ABORT_LISTEN_DELAY_MS) {
    clearTimeout(attempt.timer)
    attempt.timer = setTimeout(attempt.startWatching, endsAt - now)
  }
}

function arm(attempt: Attempt, now: number): void {
  clearTimeout(attempt.timer)
  attempt.timer = setTimeout(endAttempt, attempt.endsAt - now, attempt, attempt.endsAs)
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
