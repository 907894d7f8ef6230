import type { Exchange, Span } from '../core/exchange.ts'
import type { Handler } from '../core/pipeline.ts'
import type { Platform } from '../core/platform.ts'
import type { LocationMode } from '../core/policy.ts'
import { discardBody } from '../lib/body.ts'
import { isOpaque } from '../lib/header.ts'
import { withTimeout } from '../lib/time.ts'
import { closeAttempt, limitAttempt, openAttempt, type Attempt, type InFlightCount } from './attempt.ts'
import { classifyRejection, classifyResponse, failureOf } from './outcome.ts'
import { compileRelocation } from './relocate.ts'
import type { Signer } from './sign.ts'
import type { Target } from './target.ts'
import { uploadEnd, watchUpload, type UploadLimits } from './upload.ts'

/** The settings that all tries of one route share; fixed when the route is compiled. */
export interface SendOptions extends UploadLimits {
  /** Milliseconds between two chunks of the response body; undefined passes the body on untouched. */
  readonly idleTimeout: number | undefined
  /** Whether URLs of the target in a response's fields become those of the gateway. */
  readonly location?: LocationMode | undefined
  /** Whether the origin receives the number of the try in `x-attempt`. */
  readonly tellsAttempt: boolean
  /** Whether the origin receives the milliseconds left for the try in `x-request-timeout-ms`. */
  readonly tellsTimeout: boolean
  /** Signs the try; undefined for an upstream without `sign`. */
  readonly sign?: Signer | undefined
}

const RAW_RESPONSE = { encodeResponseBody: 'manual' } as const

/** Sends one try to `target` and resolves with its response, or with the problem response for its failure. */
export function send(target: Target, options: SendOptions, load: InFlightCount, platform: Platform): Handler {
  const relocate = compileRelocation(target.base, options.location)
  return async (x) => {
    const signature = options.sign && (await options.sign(x, target.base))
    if (signature instanceof Response) return signature
    const { path, search, headers } = x.outgoing
    const now = platform.now()
    const limit = Math.min(Math.max(1, Math.ceil(x.deadline - now)), options.perTryTimeout)
    x.attempts++
    x.target = target.label
    if (options.tellsTimeout) headers['x-request-timeout-ms'] = String(limit)
    if (options.tellsAttempt) headers['x-attempt'] = String(x.attempts)
    if (signature) Object.assign(headers, signature)
    const span = traceTry(x, target)
    const attempt = openAttempt(x, load, platform.now, span && (() => endTrySpan(span, 0, 'client-gone')))
    limitAttempt(attempt, now + limit, 'timeout', now)
    let response: Response
    try {
      const received = await platform.fetch(target.base + path + search, fetchInit(x, attempt, options, platform))
      closeAttempt(attempt)
      response = passOn(x, received, options.idleTimeout)
      if (relocate) response = relocate(x, response)
    } catch (error) {
      closeAttempt(attempt)
      // fetch rejected the request itself. That is a defect of the gateway: it does not count against the origin and is not retried.
      if (error instanceof TypeError) {
        if (span) endTrySpan(span, 0, error.name)
        throw error
      }
      response = classifyRejection(x, attempt.ending, isShortenedByClient(x, attempt, options.timeout))
    }
    const failure = response.status < 400 ? undefined : failureOf(response)
    if (failure === 'connect-failure') target.failedAt = platform.now()
    if (span) endTrySpan(span, response.status, failure)
    return response
  }
}

function fetchInit(x: Exchange, attempt: Attempt, options: SendOptions, platform: Platform): RequestInit {
  const { outgoing } = x
  return {
    method: outgoing.method,
    headers: outgoing.hasOpaqueValues ? withOpaqueValues(x) : outgoing.headers,
    body: outgoingBody(x, attempt, options, platform),
    redirect: 'manual',
    signal: attempt.controller.signal,
    ...((outgoing.wantsRawResponse === true || options.idleTimeout !== undefined) && RAW_RESPONSE),
  }
}

/** Whether the try ended by a deadline of the client's own, which left the upstream less time than the route gives. */
function isShortenedByClient(x: Exchange, { endsAt }: Attempt, timeout: number): boolean {
  return endsAt >= x.deadline && x.deadline < Math.max(x.startedAt, uploadEnd(x)) + timeout
}

/** The client's own headers with the policies' changes. A copy of the Headers object keeps bytes that are lost in a string. */
function withOpaqueValues({ request, headers: received, outgoing }: Exchange): Headers {
  const headers = new Headers(request.headers)
  for (const name in received) if (!Object.hasOwn(outgoing.headers, name)) headers.delete(name)
  for (const name in outgoing.headers) {
    const value = outgoing.headers[name]!
    // Several field lines of one name are sent as one, as the policies read them, unless their bytes are lost in a string.
    if (value !== received[name] || !isOpaque(value)) headers.set(name, value)
  }
  return headers
}

function outgoingBody(x: Exchange, attempt: Attempt, limits: UploadLimits, platform: Platform): BodyInit | null {
  const { method, body } = x.outgoing
  // The runtime gives every request with a Content-Length a body and then refuses to send one with GET or HEAD, where content
  // has no defined meaning (RFC 9110 §9.3.1).
  if (body === null || method === 'GET' || method === 'HEAD') return null
  return body instanceof ReadableStream ? watchUpload(x, body, attempt, limits, platform.now) : body
}

function passOn(x: Exchange, response: Response, idleTimeout: number | undefined): Response {
  const { headers } = response
  const refusal = classifyResponse(x, response, headers)
  if (refusal) {
    discardBody(response)
    return refusal
  }
  if (response.status === 101) return response
  const stripped = stripHopByHop(response, headers, x.outgoing.method)
  return idleTimeout === undefined ? stripped : watchIdle(stripped, idleTimeout)
}

/** Propagates the trace context to the origin, and starts this try's CLIENT span when the request is sampled. */
function traceTry(x: Exchange, target: Target): Span | undefined {
  const { trace, outgoing } = x
  if (trace === undefined) return undefined
  const span = trace.sampled ? startSpan(x, target) : undefined
  outgoing.headers['traceparent'] = (span ?? trace).traceparent
  if (trace.tracestate !== undefined) outgoing.headers['tracestate'] = trace.tracestate
  // Only where there is one: `delete` turns the headers into an object with slower properties.
  else if ('tracestate' in outgoing.headers) delete outgoing.headers['tracestate']
  return span
}

function startSpan(x: Exchange, target: Target): Span {
  const span = x.trace!.start(x.outgoing.method, 'client')
  span.set('http.request.method', x.outgoing.method)
  span.set('server.address', target.address)
  span.set('server.port', target.port)
  // Without the query, which may contain credentials.
  span.set('url.full', target.base + x.outgoing.path)
  if (x.attempts > 1) span.set('http.request.resend_count', x.attempts - 1)
  return span
}

/** Ends a try's span with its result. In a client span 4xx and 5xx are errors too (OpenTelemetry HTTP semantic conventions). */
function endTrySpan(span: Span, status: number, failure: string | undefined): void {
  if (failure === undefined) span.set('http.response.status_code', status)
  if (failure !== undefined || status >= 400) span.fail(failure ?? String(status))
  span.end()
}

const PROXY_FIELDS = ['proxy-authenticate', 'proxy-connection']

/**
 * Removes hop-by-hop fields (RFC 9110 §7.6.1) from `response` to a `method` request; `headers` are its headers. Copies the response only
 * when there is such a field. workerd itself drops Connection, Keep-Alive, Trailer, TE, Upgrade and Transfer-Encoding, but not the fields
 * that Connection names or the Proxy- fields.
 */
function stripHopByHop(response: Response, headers: Headers, method: string): Response {
  const connection = headers.get('connection')
  const isPlain = connection === null || connection === 'keep-alive' || connection === 'close'
  const named = isPlain ? PROXY_FIELDS : [...PROXY_FIELDS, ...parseNames(connection)]
  const names = method === 'HEAD' && isFramedTwice(headers) ? [...named, 'content-length'] : named
  if (!names.some((name) => headers.has(name))) return response
  const stripped = new Response(response.body, response)
  for (const name of names) stripped.headers.delete(name)
  return stripped
}

/** Content-Length beside Transfer-Encoding must be removed (RFC 9112 §6.3). workerd does so where there is a body; for HEAD it would send no response at all. */
function isFramedTwice(headers: Headers): boolean {
  return headers.has('transfer-encoding') && headers.has('content-length')
}

function parseNames(connection: string): string[] {
  const options = connection.split(',').map((option) => option.trim())
  return options.filter((option) => /^[!#$%&'*+\-.^_`|~\w]+$/.test(option))
}

/** Bytes per read from the origin. The default of 4 KiB would cost a turn of the event loop for each read. */
const CHUNK_BYTES = 64 * 1024

/**
 * `response` with a body that errors when the origin pauses for more than `idleMs` milliseconds between two chunks.
 * A chunk is read when the client has room for it, so that memory stays constant and a slow client does not count as a pause.
 */
function watchIdle(response: Response, idleMs: number): Response {
  // WebSockets have no idle timeout.
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

/** Keeps the response's Content-Length: a stream made in JavaScript has no length, so the client would get chunks instead. */
function keepLength(body: ReadableStream<Uint8Array>, headers: Headers): ReadableStream<Uint8Array> {
  const length = headers.get('content-length')
  // Only where it is the length of these bytes: not beside Transfer-Encoding, and with a single value (RFC 9112 §6.3).
  if (length === null || headers.has('transfer-encoding')) return body
  return /^\d{1,15}$/.test(length) ? body.pipeThrough(new FixedLengthStream(Number(length))) : body
}
