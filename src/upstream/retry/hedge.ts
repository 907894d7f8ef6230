import type { Exchange } from '../../core/exchange.ts'
import type { Handler, Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { discardBody } from '../../lib/body.ts'
import { elapsed } from '../../lib/time.ts'
import { failureOf } from '../outcome.ts'
import type { HedgeConfig } from './config.ts'
import { makeHedgedAttempt, makeLatencyWindow, type HedgedAttempt } from './hedged-attempt.ts'
import type { RetryBudget } from './retry-budget.ts'
import { betterResponse } from './retry.ts'

/**
 * Sends a GET or HEAD again when its response is late, to another target where there is one, and takes the first good response. Each
 * hedged attempt takes one from `budget`; none is sent once the client has disconnected or the deadline has passed.
 */
export function hedge(config: HedgeConfig, budget: RetryBudget, platform: Platform): Middleware {
  const latencies = config.after === 'p95' ? makeLatencyWindow() : undefined
  const hedgeDelay = (): number | undefined => {
    if (config.after !== 'p95') return config.after
    const p95 = latencies!.p95()
    // The clock counts whole milliseconds: a measured 1 may have been almost 2.
    return p95 === undefined ? undefined : p95 + 1
  }
  return (next) => (x) => {
    if (!isRepeatable(x)) return next(x)
    const startedAt = platform.now()
    const recordLatency = latencies && (() => latencies.record(elapsed(startedAt, platform.now())))
    const delay = hedgeDelay()
    if (delay !== undefined && startedAt + delay < x.deadline) {
      const mayStart = () => !x.signal.aborted && platform.now() < x.deadline && budget.take(platform.now())
      return race(x, next, { delay, max: config.max, mayStart, recordLatency })
    }
    if (!recordLatency) return next(x)
    return next(x).then((response) => {
      if (isGood(response)) recordLatency()
      return response
    })
  }
}

interface HedgePlan {
  /** Milliseconds before each further try. */
  readonly delay: number
  /** Tries beyond the first. */
  readonly max: number
  readonly mayStart: () => boolean
  /** Called on a good response. A first try that lost counts with the time it had taken; it is slow either way. */
  readonly recordLatency: (() => void) | undefined
}

/** Resolves with the first good response, or, once every attempt has failed, with the best failed response; sets `x.target` to its target. */
function race(x: Exchange, next: Handler, { delay, max, mayStart, recordLatency }: HedgePlan): Promise<Response> {
  const { promise, resolve, reject } = Promise.withResolvers<Response>()
  const attempts: HedgedAttempt[] = []
  const settled: Promise<void>[] = []
  let running = 0
  let best: { attempt: HedgedAttempt; response: Response } | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let isOver = false

  const finish = (winner: HedgedAttempt) => {
    isOver = true
    clearTimeout(timer)
    x.target = winner.x.target
    for (const attempt of attempts) if (attempt !== winner) attempt.end()
    // The others release what they hold after the response may have ended, so the runtime has to wait for them.
    if (running > 0) x.waitUntil(Promise.all(settled))
  }
  const settle = (attempt: HedgedAttempt, response: Response) => {
    running--
    if (isOver) return discardBody(response)
    if (best === undefined || betterResponse(best.response, response) === response) best = { attempt, response }
    if (isGood(response)) recordLatency?.()
    else if (running > 0) return
    finish(best.attempt)
    resolve(best.response)
  }
  const start = () => {
    const attempt = addAttempt(x, attempts)
    running++
    const fail = (error: unknown) => {
      running--
      if (!isOver) finish(attempt)
      reject(error)
    }
    // Async, so that a synchronous throw is caught as well: nothing else catches it in the timer.
    const send = async () => settle(attempt, await next(attempt.x))
    settled.push(send().catch(fail))
    x.target = attempt.x.target
    if (attempts.length <= max) timer = setTimeout(() => mayStart() && start(), delay)
  }
  start()
  return promise
}

function addAttempt(x: Exchange, attempts: HedgedAttempt[]): HedgedAttempt {
  const attempt = makeHedgedAttempt(x, attempts)
  attempts.push(attempt)
  return attempt
}

/** Whether it is a safe request (RFC 9110 §9.2.1) without a body. A WebSocket is not repeatable: a second one would be a second connection. */
function isRepeatable({ outgoing: { method, body, headers } }: Exchange): boolean {
  return (method === 'GET' || method === 'HEAD') && body === null && headers.upgrade === undefined
}

/** Whether a response ends the race: the upstream's own, below 500. */
function isGood(response: Response): boolean {
  return response.status < 500 && failureOf(response) === undefined
}
