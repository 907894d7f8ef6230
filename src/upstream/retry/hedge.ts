import type { Exchange } from '../../core/exchange.ts'
import type { Handler, Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { discardBody } from '../../lib/body.ts'
import { failureOf } from '../outcome.ts'
import type { HedgeConfig } from './config.ts'
import { makeHedgedAttempt, makeLatency, type HedgedAttempt } from './hedged-attempt.ts'
import type { RetryBudget } from './retry-budget.ts'
import { betterResponse } from './retry.ts'

/**
 * Sends a GET or HEAD whose answer is late once more, to another target where there is one, and takes the first good answer. Each
 * such try is paid from `budget`; none is sent once the client has left or the deadline has passed.
 */
export function hedge(config: HedgeConfig, budget: RetryBudget, platform: Platform): Middleware {
  const latency = config.after === 'p95' ? makeLatency() : undefined
  const patience = (): number | undefined => {
    if (config.after !== 'p95') return config.after
    const p95 = latency!.p95()
    // The clock counts whole milliseconds: what took "1" may have taken almost 2.
    return p95 === undefined ? undefined : p95 + 1
  }
  return (next) => (x) => {
    if (!isRepeatable(x)) return next(x)
    const startedAt = platform.now()
    const took = latency && (() => latency.record(Math.max(0, platform.now() - startedAt)))
    const after = patience()
    if (after !== undefined && startedAt + after < x.deadline) {
      const mayStart = () => !x.signal.aborted && platform.now() < x.deadline && budget.take(platform.now())
      return race(x, next, { after, max: config.max, mayStart, took })
    }
    if (!took) return next(x)
    return next(x).then((response) => {
      if (isGood(response)) took()
      return response
    })
  }
}

interface Plan {
  /** Milliseconds before each further try. */
  readonly after: number
  /** Tries beyond the first. */
  readonly max: number
  readonly mayStart: () => boolean
  /** Told when there is a good answer. A first try that was overtaken counts with the time it had taken: it is slow either way. */
  readonly took: (() => void) | undefined
}

/** Resolves with the first good answer, or once every try has failed with the answer that says most; `x.target` is whose it is. */
function race(x: Exchange, next: Handler, { after, max, mayStart, took }: Plan): Promise<Response> {
  const { promise, resolve, reject } = Promise.withResolvers<Response>()
  const arms: HedgedAttempt[] = []
  const ends: Promise<void>[] = []
  let running = 0
  let best: { arm: HedgedAttempt; response: Response } | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let isOver = false

  const finish = (winner: HedgedAttempt) => {
    isOver = true
    clearTimeout(timer)
    x.target = winner.x.target
    for (const arm of arms) if (arm !== winner) arm.end()
    // Held, so that what the others have taken is given back although the answer may be through before they have ended.
    if (running > 0) x.waitUntil(Promise.all(ends))
  }
  const settle = (arm: HedgedAttempt, response: Response) => {
    running--
    if (isOver) return discardBody(response)
    if (best === undefined || betterResponse(best.response, response) === response) best = { arm, response }
    const good = isGood(response)
    if (!good && running > 0) return
    if (good) took?.()
    finish(best.arm)
    resolve(best.response)
  }
  const start = () => {
    const arm = makeHedgedAttempt(x, arms)
    arms.push(arm)
    running++
    const fail = (error: unknown) => {
      running--
      if (!isOver) finish(arm)
      reject(error)
    }
    // Async, so that what throws at once is caught as well: in the timer nobody else would.
    const send = async () => settle(arm, await next(arm.x))
    ends.push(send().catch(fail))
    x.target = arm.x.target
    if (arms.length <= max) timer = setTimeout(() => mayStart() && start(), after)
  }
  start()
  return promise
}

/** Safe to send twice (RFC 9110 §9.2.1), and nothing but an answer comes of it: a second WebSocket would be a second caller. */
function isRepeatable({ outgoing: { method, body, headers } }: Exchange): boolean {
  return (method === 'GET' || method === 'HEAD') && body === null && headers.upgrade === undefined
}

/** An answer that ends the race: the upstream's own, and not that it is failing. */
function isGood(response: Response): boolean {
  return response.status < 500 && failureOf(response) === undefined
}
