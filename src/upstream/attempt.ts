import type { Exchange } from '../exchange.ts'

/** Why the gateway itself ended a try. */
export type Ending = 'timeout' | 'client-gone' | 'upload-broken'

/** One try in flight: its one AbortController and its one timer. Plain data, since every request makes one. */
export interface Attempt {
  readonly controller: AbortController
  readonly load: Load
  /** Undefined while nothing but the origin can have ended it. */
  ending: Ending | undefined
  /** Undefined once the try is closed. */
  timer: ReturnType<typeof setTimeout> | undefined
}

/** Counts the tries that wait for response headers. */
export interface Load {
  inFlight: number
}

/** Starts a try that may take `ms` milliseconds and ends early when the client leaves, which `gone` is told. */
export function openAttempt(x: Exchange, ms: number, load: Load, gone?: () => void): Attempt {
  const attempt: Attempt = { controller: new AbortController(), load, ending: undefined, timer: undefined }
  attempt.timer = setTimeout(endAttempt, ms, attempt, 'timeout')
  load.inFlight++
  // A client's reset makes workerd drop the handler with whatever it awaits: no `finally` runs. The abort event is what still
  // arrives, so what the try holds is given back from there too.
  const leave = () => {
    if (attempt.timer === undefined) return
    endAttempt(attempt, 'client-gone')
    closeAttempt(attempt)
    gone?.()
  }
  x.signal.addEventListener('abort', leave)
  if (x.signal.aborted) leave()
  return attempt
}

/** Aborts the try's fetch; the first reason that comes while it is open is why. */
export function endAttempt(attempt: Attempt, ending: Ending): void {
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
