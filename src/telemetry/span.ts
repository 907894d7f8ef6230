import type { Span } from '../core/exchange.ts'
import type { ProblemCode } from '../core/problem.ts'
import { formatTraceparent } from './trace-context.ts'

/** Exported as a string (cut at 1,024 characters), bool, int or double of OTLP. */
export type AttributeValue = string | number | boolean

/** A span until it is exported. */
export interface SpanRecord {
  /** 32 lower-case hex digits. */
  readonly traceId: string
  /** 16 lower-case hex digits. */
  readonly spanId: string
  /** Absent on the first span of a trace. */
  readonly parentId: string | undefined
  readonly tracestate: string | undefined
  readonly kind: 'internal' | 'server' | 'client'
  name: string
  /** Epoch milliseconds. */
  readonly startMs: number
  /** Undefined while the span runs; at least `startMs`. */
  endMs: number | undefined
  readonly attributes: Record<string, AttributeValue>
  /** Set when the span failed. */
  errorType: string | undefined
}

/** A record that starts at `startMs`. Positional parameters, because each sampled request makes several. */
export function openSpan(
  traceId: string,
  spanId: string,
  parentId: string | undefined,
  tracestate: string | undefined,
  kind: SpanRecord['kind'],
  name: string,
  startMs: number,
): SpanRecord {
  return {
    traceId,
    spanId,
    parentId,
    tracestate,
    kind,
    name,
    startMs,
    endMs: undefined,
    attributes: {},
    errorType: undefined,
  }
}

/** The interface that writes to a record. Calls after `end` are ignored, because the record may be in an export by then. */
export function makeSpan(record: SpanRecord, flags: number, now: () => number): Span {
  return {
    traceparent: formatTraceparent(record.traceId, record.spanId, flags),
    set: (name, value) => {
      if (record.endMs === undefined) record.attributes[name] = value
    },
    fail: (errorType) => {
      if (record.endMs === undefined) record.errorType = errorType
    },
    end: () => endSpan(record, now()),
  }
}

/** Ends a span that still runs. The clock can step back; a span must not end before it started. */
export function endSpan(record: SpanRecord, atMs: number): void {
  record.endMs ??= Math.max(record.startMs, atMs)
}

/** The facts that the SERVER span records when the response is complete. */
export interface RequestSummary {
  /** The route's id; undefined when none matched. */
  readonly route: string | undefined
  readonly method: string
  /** Without its query. */
  readonly path: string
  readonly scheme: string
  /** The `Host` of the request, with its port. */
  readonly host: string
  readonly clientIp: string
  readonly userAgent?: string | undefined
  readonly status: number
  /** The code of a refusal by the gateway. */
  readonly code: ProblemCode | undefined
  /** Epoch milliseconds. */
  readonly endedAt: number
}

/** Names and fills a SERVER span by OpenTelemetry's HTTP semantic conventions; `umbral.problem` holds the code of a refusal. */
export function describeServerSpan(span: SpanRecord, summary: RequestSummary): void {
  const { attributes } = span
  const method = describeMethod(span, summary)
  span.name = summary.route === undefined ? method : `${method} ${summary.route}`
  if (summary.route !== undefined) attributes['http.route'] = summary.route
  attributes['url.path'] = summary.path
  attributes['url.scheme'] = summary.scheme
  const [, address, port] = /^(.*?)(?::(\d+))?$/.exec(summary.host) ?? []
  if (address) attributes['server.address'] = address.replace(/^\[|\]$/g, '')
  if (port !== undefined) attributes['server.port'] = Number(port)
  if (summary.clientIp) attributes['client.address'] = summary.clientIp
  if (summary.userAgent) attributes['user_agent.original'] = summary.userAgent
  attributes['http.response.status_code'] = summary.status
  if (summary.code !== undefined) attributes['umbral.problem'] = summary.code
  if (summary.status >= 500) span.errorType = summary.code ?? String(summary.status)
}

/** The conventions bound the number of names: an unknown method is `_OTHER`, and `HTTP` in the span's name. */
function describeMethod({ attributes }: SpanRecord, { method, code }: RequestSummary): string {
  const isKnown = code !== 'method-not-implemented'
  attributes['http.request.method'] = isKnown ? method : '_OTHER'
  if (!isKnown) attributes['http.request.method_original'] = method
  return isKnown ? method : 'HTTP'
}
