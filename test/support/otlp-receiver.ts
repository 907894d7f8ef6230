import root from '@opentelemetry/otlp-transformer/build/src/generated/root.js'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A span as it arrived, with the ids in hex and the attributes as an object. */
export interface ReceivedSpan {
  readonly service: string
  readonly traceId: string
  readonly spanId: string
  /** `''` on a root. */
  readonly parentSpanId: string
  readonly traceState: string
  readonly name: string
  /** 1 internal, 2 server, 3 client. */
  readonly kind: number
  readonly startMs: number
  readonly endMs: number
  readonly attributes: Readonly<Record<string, string | number | boolean>>
  /** 0 unset, 1 ok, 2 error. */
  readonly status: number
  /** The request headers of the export. */
  readonly headers: IncomingMessage['headers']
}

export interface OtlpReceiver {
  /** For `OTEL_EXPORTER_OTLP_ENDPOINT`. */
  readonly url: string
  readonly spans: () => readonly ReceivedSpan[]
  /** How many spans came so far, also those that were not kept. */
  readonly received: () => number
  /** Why exports were refused; empty when all of them kept to the schema. */
  readonly faults: () => readonly string[]
  /** Resolves with all spans once there are `count`; rejects after `withinMs`, or at once when an export was refused. */
  readonly waitForSpans: (count: number, withinMs?: number) => Promise<readonly ReceivedSpan[]>
  readonly stop: () => Promise<void>
}

/**
 * Starts a collector for traces on a free loopback port: OTLP/HTTP, JSON or protobuf, held strictly against the official
 * schema. Checks and keeps the first `keep` spans and what comes with them; the rest it only counts.
 */
export async function startOtlpReceiver(keep = Infinity): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = []
  const faults: string[] = []
  let received = 0
  let arrived = Promise.withResolvers<void>()

  async function receive(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    try {
      for await (const chunk of request) chunks.push(chunk as Buffer)
      if (request.method !== 'POST' || request.url !== '/v1/traces') throw new Error(`${request.method} ${request.url}`)
      const body = Buffer.concat(chunks)
      const found = spans.length < keep ? decode(request.headers, body) : []
      spans.push(...found)
      received += found.length || body.toString('latin1').split('"spanId":').length - 1
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    } catch (error) {
      faults.push(String(error))
      response.writeHead(400).end()
    }
    arrived.resolve()
    arrived = Promise.withResolvers()
  }

  async function waitForSpans(count: number, withinMs = 5_000): Promise<readonly ReceivedSpan[]> {
    const late = AbortSignal.timeout(withinMs)
    const tooLate = new Promise<void>((passed) => late.addEventListener('abort', () => passed(), { once: true }))
    while (received < count) {
      if (faults.length > 0) throw new Error(faults.join('\n'))
      if (late.aborted) throw new Error(`${received} of ${count} spans after ${withinMs} ms`)
      await Promise.race([arrived.promise, tooLate])
    }
    return spans
  }

  const server = createServer((request, response) => void receive(request, response))
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans: () => spans,
    received: () => received,
    faults: () => faults,
    waitForSpans,
    stop: () =>
      new Promise((stopped) => {
        server.closeAllConnections()
        server.close(() => stopped())
      }),
  }
}

interface MessageClass {
  readonly decode: (bytes: Uint8Array) => object
  readonly fromObject: (value: object) => object
  readonly verify: (message: object) => string | null
  readonly toObject: (message: object, options: object) => Json
}
type Json = { readonly [key: string]: unknown }

const classes = root as unknown as {
  opentelemetry: { proto: { collector: { trace: { v1: { ExportTraceServiceRequest: MessageClass } } } } }
}
const { ExportTraceServiceRequest } = classes.opentelemetry.proto.collector.trace.v1

function decode(headers: IncomingMessage['headers'], body: Buffer): ReceivedSpan[] {
  const type = headers['content-type']
  if (type === 'application/x-protobuf') return flatten(plain(ExportTraceServiceRequest.decode(body)), headers)
  if (type !== 'application/json') throw new Error(`content-type ${type}`)
  const json = JSON.parse(body.toString()) as Json
  const message = ExportTraceServiceRequest.fromObject(idsAsBase64(json) as object)
  const fault = ExportTraceServiceRequest.verify(message)
  if (fault !== null) throw new Error(fault)
  const understood = plain(message)
  // The classes skip what they do not know and convert what has the wrong type; whatever comes out changed was wrong.
  assertSame(json, understood, '$')
  return flatten(understood, headers)
}

function plain(message: object): Json {
  return idsAsHex(ExportTraceServiceRequest.toObject(message, { longs: String, enums: Number, bytes: String })) as Json
}

const ID = /^(traceId|spanId|parentSpanId)$/
const recode = (from: BufferEncoding, to: BufferEncoding) =>
  function walk(value: unknown, key = ''): unknown {
    if (Array.isArray(value)) return value.map((item) => walk(item))
    if (typeof value === 'string' && ID.test(key)) return Buffer.from(value, from).toString(to)
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, walk(part, name)]))
  }
/** OTLP/JSON writes ids in hex, where protobuf's own JSON has base64. */
const idsAsBase64 = recode('hex', 'base64')
const idsAsHex = recode('base64', 'hex')

/** OTLP/JSON takes a 64-bit integer as a string or as a number. */
const LONG = /(UnixNano|\.intValue)$/

function assertSame(sent: unknown, understood: unknown, path: string): void {
  if (typeof sent === 'object' && sent !== null && typeof understood === 'object' && understood !== null) {
    for (const key of new Set([...Object.keys(sent), ...Object.keys(understood)])) {
      assertSame((sent as Json)[key], (understood as Json)[key], `${path}.${key}`)
    }
  } else if (Array.isArray(sent) && sent.length === 0 && understood === undefined) {
    return
  } else if (sent !== understood && !(LONG.test(path) && String(sent) === understood)) {
    throw new Error(`${path}: sent ${JSON.stringify(sent)}, understood ${JSON.stringify(understood)}`)
  }
}

interface KeyValue {
  readonly key: string
  readonly value: Json
}
interface WireSpan {
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly traceState?: string
  readonly name: string
  readonly kind: number
  readonly startTimeUnixNano: string
  readonly endTimeUnixNano: string
  readonly attributes?: readonly KeyValue[]
  readonly status?: { readonly code?: number }
}
interface WireRequest {
  readonly resourceSpans?: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] }
    readonly scopeSpans: readonly { readonly scope: { readonly name: string }; readonly spans: readonly WireSpan[] }[]
  }[]
}

function flatten(request: Json, headers: IncomingMessage['headers']): ReceivedSpan[] {
  return ((request as WireRequest).resourceSpans ?? []).flatMap(({ resource, scopeSpans }) => {
    const service = attributesOf(resource.attributes)['service.name']
    if (typeof service !== 'string') throw new Error('no service.name')
    return scopeSpans.flatMap(({ spans }) => spans.map((span) => ({ ...readSpan(span), service, headers })))
  })
}

function readSpan(span: WireSpan): Omit<ReceivedSpan, 'service' | 'headers'> {
  const { traceId, spanId, parentSpanId = '', traceState = '', name, kind, attributes = [], status } = span
  const startMs = millis(span.startTimeUnixNano)
  const endMs = millis(span.endTimeUnixNano)
  if (!/^(?!0+$)[0-9a-f]{32}$/.test(traceId)) throw new Error(`trace id "${traceId}"`)
  if (!/^(?!0+$)[0-9a-f]{16}$/.test(spanId)) throw new Error(`span id "${spanId}"`)
  if (!/^((?!0+$)[0-9a-f]{16})?$/.test(parentSpanId)) throw new Error(`parent id "${parentSpanId}"`)
  if (!name) throw new Error('a span without a name')
  if (!(kind >= 1 && kind <= 5)) throw new Error(`kind ${kind}`)
  if (!(startMs > 0 && endMs >= startMs)) throw new Error(`"${name}" runs from ${startMs} to ${endMs}`)
  return {
    traceId,
    spanId,
    parentSpanId,
    traceState,
    name,
    kind,
    startMs,
    endMs,
    attributes: attributesOf(attributes),
    status: status?.code ?? 0,
  }
}

const millis = (nanos: string) => Number(BigInt(nanos) / 1_000_000n)

function attributesOf(list: readonly KeyValue[]): Record<string, string | number | boolean> {
  const found: Record<string, string | number | boolean> = {}
  for (const { key, value } of list) {
    if (key in found) throw new Error(`the attribute "${key}" stands there twice`)
    const { stringValue, boolValue, intValue, doubleValue } = value as Record<string, never>
    const scalar = stringValue ?? boolValue ?? (intValue === undefined ? doubleValue : Number(intValue))
    if (scalar === undefined) throw new Error(`the attribute "${key}" has no value`)
    found[key] = scalar
  }
  return found
}
