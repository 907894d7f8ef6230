import type { Exchange } from '../../core/exchange.ts'
import type { Handler, Middleware } from '../../core/pipeline.ts'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import { distance, remaining, type Interval } from '../../lib/time.ts'
import type { CircuitBreakerConfig } from '../config.ts'
import { failureOf, isGatewayMade } from '../outcome.ts'
import { uploadEnd } from '../upload.ts'
import type { BreakerClient } from './breaker-client.ts'
import { PROBE_LEASE_MS, type ProbeResult } from './breaker-state.ts'

/** Whether a request may go to the upstream. `retryAfter` is in milliseconds, 0 when a probe is due. */
type BreakerAdmission =
  | { readonly kind: 'pass' }
  | { readonly kind: 'probe'; readonly lease: string }
  | { readonly kind: 'refuse'; readonly retryAfter: number }

/** One isolate's snapshot of a breaker: it decides at once from the last update, and reports in `waitUntil`. */
export interface BreakerSnapshot {
  readonly admit: (x: Exchange, now: number) => BreakerAdmission
  /** Counts a call. */
  readonly record: (x: Exchange, failed: boolean, slow: boolean, now: number) => void
  /** Returns the lease of a probe with its result. */
  readonly settle: (x: Exchange, lease: string, result: ProbeResult) => Promise<void>
  readonly isOpen: () => boolean
}

const PASS: BreakerAdmission = { kind: 'pass' }

/** Makes the snapshot over `client`; an update that is older than `maxOpenMs` milliseconds no longer counts. */
export function makeBreakerSnapshot(client: BreakerClient, maxOpenMs: number): BreakerSnapshot {
  const admitWhenOpen = (x: Exchange, open: Interval, now: number): BreakerAdmission => {
    const left = remaining(open, now)
    if (left > 0) return { kind: 'refuse', retryAfter: left }
    const { lease } = client
    if (lease && remaining(lease, now) > 0) {
      client.lease = undefined
      // An upload may take any time: its lease ends when the breaker would probe again in any case.
      client.reportSpent(x, lease.id, Math.max(0, Math.min(x.deadline - now, maxOpenMs)), now)
      return { kind: 'probe', lease: lease.id }
    }
    client.requestLease(x, now)
    return { kind: 'refuse', retryAfter: 0 }
  }
  return {
    admit: (x, now) => {
      const { open } = client
      // A new isolate has no update yet, although the breaker may be open; a breaker that refuses may have been released since.
      client.poll(x, now)
      // An older update counts for nothing; otherwise requests that are further apart would never probe.
      const isCurrent = open !== undefined && distance(now, open.since) <= Math.max(maxOpenMs, PROBE_LEASE_MS)
      return isCurrent ? admitWhenOpen(x, open, now) : PASS
    },
    record: client.record,
    settle: client.reportProbe,
    isOpen: () => client.open !== undefined,
  }
}

/** The stage of upstreams with a breaker: refuses at once while it is open, otherwise judges the final response, after retries. It never waits for the breaker object. */
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
  const settled = response.then(judge, (): ProbeResult => 'void').then((result) => snapshot.settle(x, lease, result))
  x.waitUntil(settled)
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

/** The stage of upstreams without a breaker: admits every request, and updates the conditions of targets once a second. */
export function pollConditions(client: BreakerClient, platform: Platform): Middleware {
  return (next) => (x) => {
    client.poll(x, platform.now())
    return next(x)
  }
}
