import type { Exchange } from '../core/exchange.ts'
import { problem, type ProblemCode } from '../core/problem.ts'
import type { EndReason } from './attempt.ts'

/**
 * Why a try has no response of its upstream's own.
 * `connect-failure`: refused, reset, cut off, no DNS, no TLS; workerd does not distinguish these. `timeout`: no response headers
 * in time. `protocol`: not a final HTTP response. `client`: the caller disconnected, broke a rule, or did not send its body, or there
 * was no target to send to. `client` counts against no upstream and is not retried.
 */
export type UpstreamFailure = 'connect-failure' | 'timeout' | 'protocol' | 'client'

const failures = new WeakMap<Response, UpstreamFailure>()

/** The failure that `response` stands for; undefined for an upstream's own response, whatever its status. */
export function failureOf(response: Response): UpstreamFailure | undefined {
  const failure = failures.get(response)
  if (failure !== undefined) return failure
  const { status } = response
  // Cloudflare's edge responds with these statuses when it could not reach the origin.
  return (status >= 520 && status <= 526) || status === 530 ? 'connect-failure' : undefined
}

/** Whether the gateway made `response` because the upstream gave none. */
export function isGatewayMade(response: Response): boolean {
  return failures.has(response)
}

function refusal(failure: UpstreamFailure, code: ProblemCode): Response {
  const response = problem(code)
  failures.set(response, failure)
  return response
}

/** A refusal that only the caller caused. The rule that its upload broke, if any, takes precedence over `code`. */
export function clientFailure(x: Exchange, code: ProblemCode): Response {
  return refusal('client', x.uploadProblem ?? code)
}

/** Maps a rejected fetch to a refusal. `shortenedByClient`: the client left the upstream less time than the route gives. */
export function classifyRejection(x: Exchange, ending: EndReason | undefined, shortenedByClient: boolean): Response {
  if (x.uploadProblem !== undefined) return clientFailure(x, x.uploadProblem)
  switch (ending) {
    case 'client-gone':
    case 'upload-broken':
      return clientFailure(x, 'client-gone')
    case 'upload-idle':
      return clientFailure(x, 'upload-timeout')
    case 'timeout':
      // Otherwise a client could open a breaker with short deadlines.
      return refusal(shortenedByClient ? 'client' : 'timeout', 'upstream-timeout')
    case undefined:
      return refusal('connect-failure', 'upstream-unreachable')
  }
}

/** The refusal to send in place of a response that must not be passed on; undefined when it may be. `headers` are the response's. */
export function classifyResponse(x: Exchange, response: Response, headers: Headers): Response | undefined {
  if (x.uploadProblem !== undefined) return clientFailure(x, x.uploadProblem)
  const { status } = response
  // Not final: 999, a 101 without a socket, and any other 1xx, which workerd hands over with the rest of the connection as its body.
  const isFinal = (status >= 200 && status <= 599) || (status === 101 && response.webSocket != null)
  const isValid = isFinal && isReadable(headers) && !isFailedHandshake(x, status, headers)
  return isValid ? undefined : refusal('protocol', 'upstream-protocol')
}

/** False for a transfer coding that workerd does not know: it passes such a body on undecoded and unlabelled (RFC 9112 §6.1). */
function isReadable(headers: Headers): boolean {
  const coding = headers.get('transfer-encoding')
  return coding === null || coding.toLowerCase() === 'chunked'
}

/** Whether `status` is the 502 that workerd makes of a 101 without a WebSocket. */
function isFailedHandshake(x: Exchange, status: number, headers: Headers): boolean {
  return status === 502 && 'upgrade' in x.outgoing.headers && !headers.has('content-type')
}

/** A try's result for its target. `void` counts neither way: the caller, or a faster hedged attempt, ended the try. */
export type TryResult = 'good' | 'failed' | 'void'

/** Classifies one try: a 5xx, a timeout, a rejected connection or an invalid response is `failed`; a 4xx is `good`, because the caller caused it. */
export function tryResult(response: Response): TryResult {
  if (response.status < 400) return 'good'
  const failure = failureOf(response)
  if (failure === 'client') return 'void'
  return failure !== undefined || response.status >= 500 ? 'failed' : 'good'
}
