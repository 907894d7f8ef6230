import type { Exchange } from '../../core/exchange.ts'
import type { Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { problemCode } from '../../core/problem.ts'
import { discardBody } from '../../lib/body.ts'
import { parseHttpDate } from '../../lib/http-date.ts'
import { avoidLastTarget } from '../balancing/balance.ts'
import { failureOf, isGatewayMade } from '../outcome.ts'
import { bufferRequestBody, type UploadLimits } from '../upload.ts'
import type { RetryConfig } from './config.ts'
import type { RetryBudget } from './retry-budget.ts'

/** Repeats failed tries of the configured methods, up to `attempts` times, within the deadline and the budget. */
export function retry(config: RetryConfig, budget: RetryBudget, limits: UploadLimits, platform: Platform): Middleware {
  const methods = new Set<string>(config.methods)
  const isRetriable = compileTriggers(config)
  return (next) => {
    const repeat = async (x: Exchange): Promise<Response> => {
      if (x.outgoing.body instanceof ReadableStream) {
        const refusal = await bufferRequestBody(x, limits, platform)
        if (refusal) return refusal
      }
      let last = await next(x)
      // The upstream's own last response or, while it has given none, the gateway's response for that failure.
      let best = last
      for (let nth = 1; nth <= config.attempts && isRetriable(last) && canRepeat(x); nth++) {
        const wait = waitBefore(nth, last, config, platform)
        if (platform.now() + wait >= x.deadline || !budget.take(platform.now())) break
        await pause(wait, x.signal)
        if (x.signal.aborted) break
        avoidLastTarget(x)
        last = await next(x)
        best = betterResponse(best, last)
      }
      return best
    }
    return (x) => (methods.has(x.outgoing.method) ? repeat(x) : next(x))
  }
}

function canRepeat(x: Exchange): boolean {
  return !x.signal.aborted && !(x.outgoing.body instanceof ReadableStream)
}

/**
 * The newer response, unless the gateway made it and the older is the upstream's own, which contains more information for the client. Discards the body
 * of the other one.
 */
export function betterResponse(older: Response, newer: Response): Response {
  const keep = isGatewayMade(newer) && !isGatewayMade(older) ? older : newer
  discardBody(keep === older ? newer : older)
  return keep
}

function compileTriggers(config: RetryConfig): (response: Response) => boolean {
  const on = new Set<string>(config.retryOn)
  const connection = on.has('connect-failure') || on.has('reset')
  const statuses = new Set<number>(on.has('retriable-status') ? config.retriableStatusCodes : [])
  if (on.has('gateway-error')) for (const status of [502, 503, 504]) statuses.add(status)
  return (response) => {
    const { status } = response
    if (status < 400) return false
    const failure = failureOf(response)
    // Caused by the caller, or refused by the gateway: no try of a target has failed.
    if (failure === 'client' || (failure === undefined && problemCode(response) !== undefined)) return false
    if (status === 429) return config.respectRetryAfter && (statuses.has(status) || response.headers.has('retry-after'))
    return (failure === 'connect-failure' && connection) || (status >= 500 && on.has('5xx')) || statuses.has(status)
  }
}

/** Milliseconds before retry `nth`: the origin's Retry-After, else full jitter, which keeps clients that failed together apart. */
function waitBefore(nth: number, failed: Response, config: RetryConfig, platform: Platform): number {
  const { base, max } = config.backoff
  const retryAfter = config.respectRetryAfter
    ? parseRetryAfter(failed.headers.get('retry-after'), platform.now())
    : undefined
  return retryAfter ?? platform.random() * Math.min(max, (2 ** nth - 1) * base)
}

/** Resolves after `ms` milliseconds, or at once when `signal` aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
  })
}

/** Milliseconds from now that a `Retry-After` asks for, in seconds or as an HTTP-date (RFC 9110 §10.2.3); 0 for a past date, undefined for anything else. */
export function parseRetryAfter(text: string | null, now: number): number | undefined {
  if (text === null) return undefined
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000
  const date = parseHttpDate(text, now)
  return date === undefined ? undefined : Math.max(0, date - now)
}
