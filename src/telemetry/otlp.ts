import type { Platform } from '../core/platform.ts'
import type { AttributeValue, SpanRecord } from './span.ts'

// opentelemetry-proto trace.proto: Span.SpanKind and Status.StatusCode.
const KINDS = { internal: 1, server: 2, client: 3 } as const
const STATUS_ERROR = 2

/** Characters that are kept of a value: a client can send a user agent of 32 KiB. */
const MAX_VALUE_LENGTH = 1_024

/**
 * The body of an `ExportTraceServiceRequest` in OTLP/JSON: ids in hex, 64-bit integers as decimal strings. Written as text
 * piece by piece, in half the time of building objects for `JSON.stringify`.
 */
export function encodeSpans(spans: readonly SpanRecord[], serviceName: string): string {
  const resource = `{"attributes":[${encodeAttribute('service.name', serviceName)}]}`
  const scopeSpans = `{"scope":{"name":"umbral"},"spans":[${spans.map(encodeSpan).join(',')}]}`
  return `{"resourceSpans":[{"resource":${resource},"scopeSpans":[${scopeSpans}]}]}`
}

function encodeSpan(span: SpanRecord): string {
  const { traceId, spanId, parentId, tracestate, kind, name, startMs, endMs = startMs, attributes, errorType } = span
  let list = ''
  for (const key in attributes) list += `${list && ','}${encodeAttribute(key, attributes[key]!)}`
  if (errorType !== undefined) list += `${list && ','}${encodeAttribute('error.type', errorType)}`
  return (
    `{"traceId":"${traceId}","spanId":"${spanId}"` +
    (parentId === undefined ? '' : `,"parentSpanId":"${parentId}"`) +
    (tracestate === undefined ? '' : `,"traceState":${JSON.stringify(tracestate)}`) +
    `,"name":${JSON.stringify(name)},"kind":${KINDS[kind]}` +
    `,"startTimeUnixNano":"${nanos(startMs)}","endTimeUnixNano":"${nanos(endMs)}","attributes":[${list}]` +
    (errorType === undefined ? '}' : `,"status":{"code":${STATUS_ERROR}}}`)
  )
}

/** By digits, not arithmetic: nanoseconds since 1970 exceed the integers that a number holds exactly. */
const nanos = (ms: number) => `${Math.trunc(ms)}000000`

function encodeAttribute(key: string, value: AttributeValue): string {
  return `{"key":"${key}","value":${encodeValue(value)}}`
}

function encodeValue(value: AttributeValue): string {
  if (typeof value === 'string') return `{"stringValue":${JSON.stringify(value.slice(0, MAX_VALUE_LENGTH))}}`
  if (typeof value === 'boolean') return `{"boolValue":${value}}`
  if (Number.isSafeInteger(value)) return `{"intValue":"${value}"}`
  return Number.isFinite(value) ? `{"doubleValue":${value}}` : `{"stringValue":"${value}"}`
}

/** No request waits for a collector; this bounds how long a collector that hangs holds memory and a connection. */
const TIMEOUT_MS = 2_000

/** Posts spans to the collector at `endpoint` (OTLP/HTTP, JSON); rejects unless it accepts them within two seconds. */
export function makeOtlpSender(
  endpoint: string,
  platform: Pick<Platform, 'variable' | 'fetch'>,
): (spans: readonly SpanRecord[]) => Promise<void> {
  const url = `${endpoint.replace(/\/+$/, '')}/v1/traces`
  const serviceName = platform.variable('OTEL_SERVICE_NAME') ?? 'umbral'
  const headers = {
    ...parseHeaders(platform.variable('OTEL_EXPORTER_OTLP_HEADERS') ?? ''),
    'content-type': 'application/json',
  }
  return async (spans) => {
    const body = encodeSpans(spans, serviceName)
    const response = await platform.fetch(url, {
      method: 'POST',
      headers,
      body,
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    // Read to its end, so that the connection can be used again.
    await response.arrayBuffer()
    if (!response.ok) throw new Error(`the collector responded ${response.status}`)
  }
}

/** `key=value,key=value` with percent-escapes in the values, by the OTLP exporter specification; a pair that is not a valid header is left out. */
function parseHeaders(text: string): Record<string, string> {
  const pairs = text.split(',').flatMap((pair): [string, string][] => {
    const [, name, value] = /^\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*=\s*([\x20-\x7e]*?)\s*$/.exec(pair) ?? []
    return name === undefined || value === undefined ? [] : [[name.toLowerCase(), unescape(value)]]
  })
  return Object.fromEntries(pairs)
}

function unescape(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
