import type { Exchange, Span } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import { discardBody } from '../lib/body.ts'
import { isOpaque } from '../lib/header.ts'
import { withTimeout } from '../lib/time.ts'
import { closeAttempt, openAttempt, type Attempt, type InFlightCount } from './attempt.ts'
import { classifyRejection, classifyResponse, failureOf } from './outcome.ts'
import type { Signer } from './sign.ts'
import type { Target } from './target.ts'
import { uploadEnd, watchUpload } from './upload.ts'

/** What all tries of one route have in common, settled when the route is compiled. */
export interface SendOptions {
  /** Milliseconds from arrival that the route gives; a client may have asked for less. */
  readonly timeout: number
  /** Milliseconds for one try, or less when the deadline is nearer. */
  readonly perTryTimeout: number
  /** Milliseconds between two chunks of the response body; undefined leaves the body alone. */
  readonly idleTimeout: number | undefined
  /** Whether the origin is told in `x-attempt` which try this is. */
  readonly numbered: boolean
  /** Signs the try; undefined where the upstream wants none. */
  readonly sign?: Signer | undefined
}

const RAW_ANSWER = { encodeResponseBody: 'manual' } as const

/** Sends one try to `target` and answers with its response, or with the problem that stands for its failure. */
export function send(target: Target, options: SendOptions, load: InFlightCount, platform: Platform): Handler {
  return async (x) => {
    const signature = options.sign && (await options.sign(x, target.base))
    if (signature instanceof Response) return signature
    const { method, path, search, headers } = x.outgoing
    const left = Math.max(1, Math.ceil(x.deadline - platform.now()))
    const limit = Math.min(left, options.perTryTimeout)
    x.attempts++
    x.target = target.label
    headers['x-request-timeout-ms'] = String(limit)
    if (options.numbered) headers['x-attempt'] = String(x.attempts)
    if (signature) Object.assign(headers, signature)
    const span = traceTry(x, target)
    const attempt = openAttempt(x, limit, load, span && (() => endSpan(span, 0, 'client-gone')))
    let response: Response
    try {
      const { signal } = attempt.controller
      const body = outgoingBody(x, attempt, platform)
      const answer = await platform.fetch(target.base + path + search, {
        method,
        headers: x.outgoing.hasOpaqueValues ? withOpaqueValues(x) : headers,
        body,
        redirect: 'manual',
        signal,
        ...((x.outgoing.wantsRawResponse === true || options.idleTimeout !== undefined) && RAW_ANSWER),
      })
      closeAttempt(attempt)
      response = pass(x, answer, options.idleTimeout)
    } catch (error) {
      closeAttempt(attempt)
      // fetch refused the request itself: a fault of ours, which is no reason to blame the origin or to try again.
      if (error instanceof TypeError) {
        if (span) endSpan(span, 0, error.name)
        throw error
      }
      response = classifyRejection(x, attempt.ending, isHurried(x, limit === left, options, platform.now()))
    }
    const failure = response.status < 400 ? undefined : failureOf(response)
    if (failure === 'connect-failure') target.failedAt = platform.now()
    if (span) endSpan(span, response.status, failure)
    return response
  }
}

/** Whether the client left the upstream less time than the route gives: by its own deadline, or by taking half of it to send its body. */
function isHurried(x: Exchange, cutByDeadline: boolean, { timeout, perTryTimeout }: SendOptions, now: number): boolean {
  return (cutByDeadline && x.deadline < x.startedAt + timeout) || now - uploadEnd(x) < perTryTimeout / 2
}

/** The client's own headers with what was changed on the way: a copy keeps the bytes that text has lost. */
function withOpaqueValues({ request, headers: received, outgoing }: Exchange): Headers {
  const headers = new Headers(request.headers)
  for (const name in received) if (!Object.hasOwn(outgoing.headers, name)) headers.delete(name)
  for (const name in outgoing.headers) {
    const value = outgoing.headers[name]!
    // Several lines of one name go on as one, as everybody here has read them; but not as text where that has lost bytes.
    if (value !== received[name] || (value.includes(',') && !isOpaque(value))) headers.set(name, value)
  }
  return headers
}

function outgoingBody(x: Exchange, attempt: Attempt, platform: Platform): BodyInit | null {
  const { method, body } = x.outgoing
  // The runtime gives every request with a Content-Length a body and then refuses to send one with GET or HEAD, where content
  // has no defined meaning (RFC 9110 §9.3.1).
  if (body === null || method === 'GET' || method === 'HEAD') return null
  return body instanceof ReadableStream ? watchUpload(x, body, attempt, platform.now) : body
}

function pass(x: Exchange, response: Response, idleTimeout: number | undefined): Response {
  const { headers } = response
  const refusal = classifyResponse(x, response, headers)
  if (refusal) {
    discardBody(response)
    return refusal
  }
  if (response.status === 101) return response
  const answer = stripHopByHop(response, headers, x.outgoing.method)
  return idleTimeout === undefined ? answer : watchIdle(answer, idleTimeout)
}

/** Hands the trace on to the origin, and starts this try's CLIENT span when the request is sampled. */
export function traceTry(x: Exchange, target: Target): Span | undefined {
  const { trace, outgoing } = x
  if (trace === undefined) return undefined
  const span = trace.sampled ? startSpan(x, target) : undefined
  outgoing.headers['traceparent'] = (span ?? trace).traceparent
  if (trace.tracestate !== undefined) outgoing.headers['tracestate'] = trace.tracestate
  // Only where there is one: without that, each request's headers would become a slower kind of object.
  else if ('tracestate' in outgoing.headers) delete outgoing.headers['tracestate']
  return span
}

function startSpan(x: Exchange, target: Target): Span {
  const span = x.trace!.start(x.outgoing.method, 'client')
  span.set('http.request.method', x.outgoing.method)
  span.set('server.address', target.address)
  span.set('server.port', target.port)
  // Without the query: that is where people put tokens.
  span.set('url.full', target.base + x.outgoing.path)
  if (x.attempts > 1) span.set('http.request.resend_count', x.attempts - 1)
  return span
}

/** Ends a try's span with what came of it; to a client 4xx and 5xx are errors too (HTTP semantic conventions). */
export function endSpan(span: Span, status: number, failure: string | undefined): void {
  if (failure === undefined) span.set('http.response.status_code', status)
  if (failure !== undefined || status >= 400) span.fail(failure ?? String(status))
  span.end()
}

const PROXY_FIELDS = ['proxy-authenticate', 'proxy-connection']

/**
 * `response` to a `method` request, whose headers are `headers`, without what was meant for this hop alone (RFC 9110 §7.6.1); copied only when there is
 * such a thing. workerd itself drops Connection, Keep-Alive, Trailer, TE, Upgrade and Transfer-Encoding; what Connection names and the Proxy- fields it
 * passes on.
 */
export function stripHopByHop(response: Response, headers: Headers, method: string): Response {
  const connection = headers.get('connection')
  const isPlain = connection === null || connection === 'keep-alive' || connection === 'close'
  const named = isPlain ? PROXY_FIELDS : [...PROXY_FIELDS, ...parseNames(connection)]
  const names = method === 'HEAD' && isFramedTwice(headers) ? [...named, 'content-length'] : named
  if (!names.some((name) => headers.has(name))) return response
  const stripped = new Response(response.body, response)
  for (const name of names) stripped.headers.delete(name)
  return stripped
}

/** A length beside chunks is no length and has to go (RFC 9112 §6.3). Where there is a body workerd sees to that; for HEAD it would not answer at all. */
function isFramedTwice(headers: Headers): boolean {
  return headers.has('transfer-encoding') && headers.has('content-length')
}

function parseNames(connection: string): string[] {
  const options = connection.split(',').map((option) => option.trim())
  return options.filter((option) => /^[!#$%&'*+\-.^_`|~\w]+$/.test(option))
}

/** As much as is asked of the origin at once, in bytes: the default of 4 KiB costs a turn of the event loop each. */
const CHUNK_BYTES = 64 * 1024

/**
 * `response` with a body that is cut off when the origin pauses for more than `idleMs` milliseconds between two chunks.
 * A chunk is read when the client has room for it, so memory stays constant and a slow client is not taken for a silent origin.
 */
export function watchIdle(response: Response, idleMs: number): Response {
  // A WebSocket may be silent for as long as it likes.
  if (response.body === null || response.webSocket != null) return response
  const reader = response.body.getReader({ mode: 'byob' })
  const watched = new ReadableStream<Uint8Array>(
    {
      pull: async (stream) => {
        const chunk = await withTimeout(idleMs, () => reader.read(new Uint8Array(CHUNK_BYTES)))
        if (chunk === undefined) {
          const reason = new Error('The upstream broke off, or paused for too long')
          reader.cancel(reason).catch(() => {})
          throw reason
        }
        if (chunk.done) stream.close()
        else stream.enqueue(chunk.value)
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  )
  return new Response(keepLength(watched, response.headers), response)
}

/** A stream made in JavaScript has no length, and the client would get chunks instead of the Content-Length that was promised. */
function keepLength(body: ReadableStream<Uint8Array>, headers: Headers): ReadableStream<Uint8Array> {
  const length = headers.get('content-length')
  // Only where it is the length of these very bytes: not of chunked ones, and stated once (RFC 9112 §6.3).
  if (length === null || headers.has('transfer-encoding')) return body
  return /^\d{1,15}$/.test(length) ? body.pipeThrough(new FixedLengthStream(Number(length))) : body
}
