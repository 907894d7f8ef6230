import type { Exchange } from '../../core/exchange.ts'
import type { Handler, Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import type { CircuitBreakerConfig } from '../config.ts'
import { failureOf, isGatewayMade } from '../outcome.ts'
import { uploadEnd } from '../upload.ts'
import type { BreakerSnapshot } from './breaker-snapshot.ts'
import type { ProbeResult } from './breaker-state.ts'

/** Refuses at once while the breaker is open; otherwise judges the final response, retries included. It never waits for the breaker object. */
export function breaker(config: CircuitBreakerConfig, snapshot: BreakerSnapshot, platform: Platform): Middleware {
  const judge = compileJudge(config.failureOn)
  const slow = config.slowCallDuration
  // Counted from the end of the upload: otherwise a client could open the breaker with a slow upload.
  const isSlow = (x: Exchange, startedAt: number, now: number) => now - startedAt > slow && now - uploadEnd(x) > slow
  return (next) => (x) => {
    const startedAt = platform.now()
    const admission = snapshot.admit(x, startedAt)
    if (admission.kind === 'refuse') return Promise.resolve(refuse(admission.retryAfter))
    if (admission.kind === 'probe')
      return probe(x, next, admission.lease, snapshot, (response) => {
        const result = judge(response)
        return result === 'passed' && isSlow(x, startedAt, platform.now()) ? 'failed' : result
      })
    return next(x).then((response) => {
      const result = judge(response)
      const now = platform.now()
      if (result !== 'void') snapshot.record(x, result === 'failed', isSlow(x, startedAt, now), now)
      return response
    })
  }
}

function refuse(retryAfter: number): Response {
  return problem('circuit-open', { headers: { 'retry-after': String(Math.max(1, Math.ceil(retryAfter / 1_000))) } })
}

/**
 * Sends the request that spends a lease. The lease is returned with the response, or when the client has disconnected: the promise
 * is held in `waitUntil`, because a client's reset cancels the handler and what it awaits.
 */
function probe(
  x: Exchange,
  next: Handler,
  lease: string,
  snapshot: BreakerSnapshot,
  judge: (response: Response) => ProbeResult,
): Promise<Response> {
  const response = next(x)
  const verdict = response.then(judge, (): ProbeResult => 'void')
  x.waitUntil(verdict.then((result) => snapshot.settle(x, lease, result)))
  return response
}

/** Compiles how a response is judged; `void` is a failure that the client caused. */
function compileJudge(failureOn: CircuitBreakerConfig['failureOn']): (response: Response) => ProbeResult {
  const on = new Set<string>(failureOn)
  return (response) => {
    if (response.status < 400) return 'passed'
    const failure = failureOf(response)
    if (failure === 'client') return 'void'
    // A response that is not HTTP is an error of the upstream, as a 5xx is. A response of the gateway is judged by its cause alone.
    if (failure !== undefined && on.has(failure === 'protocol' ? '5xx' : failure)) return 'failed'
    return response.status >= 500 && !isGatewayMade(response) && on.has('5xx') ? 'failed' : 'passed'
  }
}
