import type { Exchange } from '../core/exchange.ts'
import type { Span } from '../core/trace.ts'
import type { Target } from './target.ts'

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
