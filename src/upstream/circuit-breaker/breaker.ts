import type { CircuitBreakerConfig } from '../config.ts'
import type { Exchange } from '../../core/exchange.ts'
import type { Handler, Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import type { ProbeResult } from './breaker-state.ts'
import type { BreakerSnapshot } from './breaker-snapshot.ts'
import { failureOf, isGatewayMade } from '../outcome.ts'
import { uploadEnd } from '../upload.ts'

/** Refuses at once while the circuit is open; else judges the final answer, retries included, and never waits for the circuit's keeper. */
export function breaker(config: CircuitBreakerConfig, view: BreakerSnapshot, platform: Platform): Middleware {
  const judge = compileJudge(config.failureOn)
  const slow = config.slowCallDuration
  // From the end of the upload: otherwise anybody could open a breaker with bodies that trickle in.
  const isSlow = (x: Exchange, startedAt: number, now: number) => now - startedAt > slow && now - uploadEnd(x) > slow
  return (next) => (x) => {
    const startedAt = platform.now()
    const admission = view.admit(x, startedAt)
    if (admission.kind === 'refuse') return Promise.resolve(refuse(admission.retryAfter))
    if (admission.kind === 'probe')
      return probe(x, next, admission.lease, view, (response) => {
        const result = judge(response)
        return result === 'passed' && isSlow(x, startedAt, platform.now()) ? 'failed' : result
      })
    return next(x).then((response) => {
      const result = judge(response)
      const now = platform.now()
      if (result !== 'void') view.record(x, result === 'failed', isSlow(x, startedAt, now), now)
      return response
    })
  }
}

function refuse(retryAfter: number): Response {
  return problem('circuit-open', { headers: { 'retry-after': String(Math.max(1, Math.ceil(retryAfter / 1_000))) } })
}

/**
 * Sends the one request that holds a lease. The lease is given back when the answer is there, or the client has left: the
 * promise is held in `waitUntil`, since a client's reset drops the handler and whatever it awaits.
 */
function probe(
  x: Exchange,
  next: Handler,
  lease: string,
  view: BreakerSnapshot,
  judge: (response: Response) => ProbeResult,
): Promise<Response> {
  const answer = next(x)
  const verdict = answer.then(judge, (): ProbeResult => 'void')
  x.waitUntil(verdict.then((result) => view.settle(x, lease, result)))
  return answer
}

/** What an answer says about the upstream: `void` is nothing, for the caller's own doing. */
function compileJudge(failureOn: CircuitBreakerConfig['failureOn']): (response: Response) => ProbeResult {
  const on = new Set<string>(failureOn)
  return (response) => {
    if (response.status < 400) return 'passed'
    const failure = failureOf(response)
    if (failure === 'client') return 'void'
    // An answer that is not HTTP is the upstream's error as much as a 5xx; an invented status is judged by its cause alone.
    if (failure !== undefined && on.has(failure === 'protocol' ? '5xx' : failure)) return 'failed'
    return response.status >= 500 && !isGatewayMade(response) && on.has('5xx') ? 'failed' : 'passed'
  }
}
