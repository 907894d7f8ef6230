import type { Exchange } from '../exchange.ts'

/** Why the gateway itself ended a try. */
export type Ending = 'timeout' | 'client-gone' | 'upload-broken'

/** One try in flight: its one AbortController and its one timer. */
export interface Attempt {
  readonly signal: AbortSignal
  /** Undefined while nothing but the origin can have ended it. */
  ending: Ending | undefined
  /** Whether the origin has been given all of the request. */
  uploaded: boolean
  readonly abort: (ending: Ending) => void
  /** Disarms the timer and gives back what the try holds. Idempotent. */
  readonly close: () => void
}

/** Counts the tries that wait for response headers. */
export interface Load {
  inFlight: number
}

/** Starts a try that may take `ms` milliseconds and ends early when the client leaves, which `gone` is told. */
export function openAttempt(x: Exchange, ms: number, load: Load, gone?: () => void): Attempt {
  const controller = new AbortController()
  let open = true
  const attempt: Attempt = {
    signal: controller.signal,
    ending: undefined,
    uploaded: true,
    abort: (ending) => {
      if (open) attempt.ending ??= ending
      controller.abort()
    },
    close: () => {
      if (!open) return
      open = false
      load.inFlight--
      clearTimeout(timer)
    },
  }
  // A client's reset makes workerd drop the handler with whatever it awaits: no `finally` runs. The abort event is what still
  // arrives, so what the try holds is given back from there too.
  const leave = () => {
    if (!open) return
    attempt.abort('client-gone')
    attempt.close()
    gone?.()
  }
  load.inFlight++
  const timer = setTimeout(() => attempt.abort('timeout'), ms)
  x.signal.addEventListener('abort', leave)
  if (x.signal.aborted) leave()
  return attempt
}
