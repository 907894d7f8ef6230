import type { Exchange } from '../exchange.ts'
import type { Handler } from '../pipeline.ts'
import type { Site } from '../policy.ts'
import { openAttempt, type Attempt, type Load } from './attempt.ts'
import { endSpan, traceTry } from './client-span.ts'
import { stripHopByHop } from './hop-by-hop.ts'
import { watchIdle } from './idle.ts'
import { classifyAnswer, classifyRejection, discard, failureOf } from './outcome.ts'
import type { Target } from './target.ts'
import { watchUpload } from './upload.ts'

/** How long a target rests after a fetch to it was rejected, in milliseconds. */
const REST_MS = 1_000

export interface SendOptions {
  /** Milliseconds from arrival that the route gives; a client may have asked for less. */
  readonly timeout: number
  /** Milliseconds for one try; `Infinity` for whatever is left of the deadline. */
  readonly perTryTimeout: number
  /** Milliseconds between two chunks of the response body; undefined leaves the body alone. */
  readonly idleTimeout: number | undefined
  /** Whether the origin is told in `x-attempt` which try this is. */
  readonly numbered: boolean
}

/** Sends one try to `target` and answers with its response, or with the problem that stands for its failure. */
export function send(target: Target, options: SendOptions, load: Load, site: Site): Handler {
  return async (x) => {
    const { headers } = x.outgoing
    const left = Math.max(1, Math.ceil(x.deadline - site.now()))
    const limit = Math.min(left, options.perTryTimeout)
    x.attempts++
    x.target = target.label
    headers.set('x-request-timeout-ms', String(limit))
    if (options.numbered) headers.set('x-attempt', String(x.attempts))
    const span = traceTry(x, target)
    const attempt = openAttempt(x, limit, load, span && (() => endSpan(span, 0, 'client-gone')))
    let response: Response
    try {
      const answer = await site.fetch(target.base + x.outgoing.path + x.outgoing.search, {
        method: x.outgoing.method,
        headers,
        body: outgoingBody(x, attempt),
        redirect: 'manual',
        signal: attempt.signal,
      })
      attempt.close()
      response = pass(x, answer, options.idleTimeout)
    } catch (error) {
      attempt.close()
      // fetch refused the request itself: a fault of ours, which is no reason to blame the origin or to try again.
      if (error instanceof TypeError) {
        if (span) endSpan(span, 0, error.name)
        throw error
      }
      const hurried = limit === left && x.deadline < x.startedAt + options.timeout
      response = classifyRejection(x, attempt, hurried)
    }
    const failure = response.status < 400 ? undefined : failureOf(response)
    if (failure === 'connect-failure') target.restsUntil = site.now() + REST_MS
    if (span) endSpan(span, response.status, failure)
    return response
  }
}

function outgoingBody(x: Exchange, attempt: Attempt): BodyInit | null {
  const { method, body, headers } = x.outgoing
  // The runtime gives every request with a Content-Length a body and then refuses to send one with GET or HEAD, where content
  // has no defined meaning (RFC 9110 §9.3.1).
  if (body === null || method === 'GET' || method === 'HEAD') return null
  return body instanceof ReadableStream ? watchUpload(body, headers.get('content-length'), attempt) : body
}

function pass(x: Exchange, response: Response, idleTimeout: number | undefined): Response {
  const refusal = classifyAnswer(x, response)
  if (refusal) {
    discard(response)
    return refusal
  }
  if (response.status !== 101) stripHopByHop(response.headers, x.edits)
  return idleTimeout === undefined ? response : watchIdle(response, idleTimeout)
}
