import type { Exchange } from '../core/exchange.ts'
import { problem, type ProblemCode } from '../core/problem.ts'
import type { EndReason } from './attempt.ts'

/**
 * Why a try has no response of its upstream's own to give.
 * `connect-failure`: refused, reset, cut off, no DNS, no TLS; workerd tells none of these apart. `timeout`: no response headers
 * in time. `protocol`: not a final HTTP response. `client`: the caller left, broke a rule, or did not send its body, or there
 * was no target to send to: no upstream is blamed, nothing is repeated.
 */
export type UpstreamFailure = 'connect-failure' | 'timeout' | 'protocol' | 'client'

const failures = new WeakMap<Response, UpstreamFailure>()

/** What went wrong, when `response` stands for a failure; undefined for an upstream's own answer, whatever its status. */
export function failureOf(response: Response): UpstreamFailure | undefined {
  const failure = failures.get(response)
  if (failure !== undefined) return failure
  const { status } = response
  // Cloudflare's edge answers these in place of an origin that it could not reach.
  return (status >= 520 && status <= 526) || status === 530 ? 'connect-failure' : undefined
}

/** Whether the gateway made `response` itself, since the upstream gave none. */
export function isGatewayMade(response: Response): boolean {
  return failures.has(response)
}

function refusal(failure: UpstreamFailure, code: ProblemCode): Response {
  const response = problem(code)
  failures.set(response, failure)
  return response
}

/** A refusal for which only the caller is to blame; its own broken rule goes before `code`. */
export function clientFailure(x: Exchange, code: ProblemCode): Response {
  return refusal('client', x.uploadProblem ?? code)
}

/** The one classifier of a rejected fetch. `hurried`: the client left the upstream less time than the route gives. */
export function classifyRejection(x: Exchange, ending: EndReason | undefined, hurried: boolean): Response {
  if (x.uploadProblem !== undefined) return clientFailure(x, x.uploadProblem)
  switch (ending) {
    case 'client-gone':
    case 'upload-broken':
      return clientFailure(x, 'client-gone')
    case 'timeout':
      // Otherwise anybody could open a breaker with short deadlines, or with bodies that trickle in.
      return refusal(hurried ? 'client' : 'timeout', 'upstream-timeout')
    case undefined:
      return refusal('connect-failure', 'upstream-unreachable')
  }
}

/** The refusal that stands in for an answer which must not be passed on; undefined when it may be. `headers` are the answer's. */
export function classifyResponse(x: Exchange, response: Response, headers: Headers): Response | undefined {
  if (x.uploadProblem !== undefined) return clientFailure(x, x.uploadProblem)
  const { status } = response
  // What is none: 999, a 101 without a socket; a runtime that does not read on after a 1xx hands that over with the rest of the connection as its body.
  const final = (status >= 200 && status <= 599) || (status === 101 && response.webSocket != null)
  const sound = final && isReadable(headers) && !isFailedHandshake(x, status, headers)
  return sound ? undefined : refusal('protocol', 'upstream-protocol')
}

/** workerd hands a body in a transfer coding that it does not know over as it is, without saying so to the client (RFC 9112 §6.1). */
function isReadable(headers: Headers): boolean {
  const coding = headers.get('transfer-encoding')
  return coding === null || coding.toLowerCase() === 'chunked'
}

/** What workerd makes of a 101 that is no WebSocket's: a 502 with words of its own. */
function isFailedHandshake(x: Exchange, status: number, headers: Headers): boolean {
  return status === 502 && 'upgrade' in x.outgoing.headers && !headers.has('content-type')
}

/** What a try says about its target: `void` is nothing, since it was the caller, or a hedge that lost, that ended it. */
export type TryResult = 'good' | 'failed' | 'void'

/** Judges one try: a 5xx, a timeout, a rejected connection or a broken answer is failed; a 4xx is the caller's mistake, well answered. */
export function tryResult(response: Response): TryResult {
  if (response.status < 400) return 'good'
  const failure = failureOf(response)
  if (failure === 'client') return 'void'
  return failure !== undefined || response.status >= 500 ? 'failed' : 'good'
}
