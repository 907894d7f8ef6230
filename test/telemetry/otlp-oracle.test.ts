import { OTLPExporter, SpanImpl } from '@microlabs/otel-cf-workers'
import { createTraceState, SpanKind, SpanStatusCode } from '@opentelemetry/api'
import root from '@opentelemetry/otlp-transformer/build/src/generated/root.js'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { encodeSpans } from '../../src/telemetry/otlp.ts'
import { makeSpan, openSpan, type AttributeValue } from '../../src/telemetry/span.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const START = 1_800_000_000_007

interface Told {
  readonly name: string
  readonly kind: 'server' | 'client'
  readonly spanId: string
  readonly parentId: string
  readonly tracestate: string | undefined
  readonly endMs: number
  readonly attributes: Readonly<Record<string, AttributeValue>>
  readonly errorType: string | undefined
}

const server: Told = {
  name: 'GET "get-user" \u{1f511}',
  kind: 'server',
  spanId: 'b7ad6b7169203331',
  parentId: '00f067aa0ba902b7',
  tracestate: 'a=1,b=2',
  endMs: START + 1_012,
  attributes: {
    'url.path': '/users/7',
    'user_agent.original': 'a "quoted"\n\\ \u0000 ü 🔑',
    empty: '',
    'http.response.status_code': 503,
    zero: 0,
    negative: -7,
    large: Number.MAX_SAFE_INTEGER,
    ratio: 0.0625,
    tiny: 5e-324,
    yes: true,
    no: false,
  },
  errorType: '503',
}
const client: Told = {
  name: 'GET',
  kind: 'client',
  spanId: '53995c3f42cd8ad8',
  parentId: server.spanId,
  tracestate: undefined,
  endMs: START,
  attributes: { 'server.port': 8787 },
  errorType: undefined,
}

function ours(spans: readonly Told[]): string {
  const records = spans.map(({ spanId, parentId, tracestate, kind, name, endMs, attributes, errorType }) => {
    const record = openSpan(TRACE, spanId, parentId, tracestate, kind, name, START)
    const span = makeSpan(record, 1, () => endMs)
    for (const [key, value] of Object.entries(attributes)) span.set(key, value)
    if (errorType !== undefined) span.fail(errorType)
    span.end()
    return record
  })
  return encodeSpans(records, 'edge')
}

type SpanInit = ConstructorParameters<typeof SpanImpl>[0]
const resource = { attributes: { 'service.name': 'edge' } } as unknown as SpanInit['resource']

/** The body that the library posts. It can only be intercepted through the global fetch. */
async function theirs(spans: readonly Told[]): Promise<string> {
  const posted: string[] = []
  vi.stubGlobal('fetch', (_: string, init: { body: string }) => {
    posted.push(init.body)
    return Promise.resolve(new Response('{}'))
  })
  const result = await new Promise<{ code: number }>((done) =>
    new OTLPExporter({ url: 'http://collector.test/v1/traces' }).export(spans.map(theirSpan), done),
  )
  expect(result.code).toBe(0)
  expect(posted).toHaveLength(1)
  return posted[0]!
}

function theirSpan({ spanId, parentId, tracestate, kind, name, endMs, attributes, errorType }: Told): SpanImpl {
  const context = { traceId: TRACE, traceFlags: 1 }
  const span = new SpanImpl({
    name,
    attributes,
    resource,
    onEnd: () => {},
    spanKind: kind === 'server' ? SpanKind.SERVER : SpanKind.CLIENT,
    spanContext: { ...context, spanId, ...(tracestate && { traceState: createTraceState(tracestate) }) },
    parentSpanContext: { ...context, spanId: parentId },
    startTime: START,
  })
  if (errorType !== undefined) {
    span.setStatus({ code: SpanStatusCode.ERROR })
    span.setAttribute('error.type', errorType)
  }
  span.end(endMs)
  return span
}

interface Scope {
  readonly scope: { name: string }
  readonly spans: readonly { status: unknown; readonly attributes: readonly { readonly value: unknown }[] }[]
}
interface ExportRequest {
  readonly resourceSpans: readonly { readonly scopeSpans: readonly Scope[] }[]
}
interface MessageClass {
  readonly fromObject: (value: object) => object
  readonly verify: (message: object) => string | null
  readonly toObject: (message: object, options: object) => ExportRequest
}
const classes = root as unknown as {
  opentelemetry: { proto: { collector: { trace: { v1: { ExportTraceServiceRequest: MessageClass } } } } }
}
const { ExportTraceServiceRequest } = classes.opentelemetry.proto.collector.trace.v1

/** The message by the official schema, with every field that was left out at its default. */
function decode(json: string): ExportRequest {
  // OTLP/JSON has ids in hex, where the classes read base64.
  const inBase64 = json.replaceAll(
    /("(?:traceId|spanId|parentSpanId)":)"([0-9a-f]+)"/g,
    (_, key: string, hex: string) => `${key}"${Buffer.from(hex, 'hex').toString('base64')}"`,
  )
  const message = ExportTraceServiceRequest.fromObject(JSON.parse(inBase64) as object)
  expect(ExportTraceServiceRequest.verify(message)).toBeNull()
  return ExportTraceServiceRequest.toObject(message, { defaults: true, longs: String, enums: Number, bytes: String })
}

const firstScope = (request: ExportRequest) => request.resourceSpans[0]!.scopeSpans[0]!

afterEach(() => void vi.unstubAllGlobals())

describe('our OTLP/JSON beside that of @microlabs/otel-cf-workers', () => {
  it('is the same message, but for the name of the scope and a status that is unset', async () => {
    const [our, their] = [decode(ours([server, client])), decode(await theirs([server, client]))]
    const [ourScope, theirScope] = [firstScope(our), firstScope(their)]
    // Each exporter names itself as the library of the spans.
    expect([ourScope.scope.name, theirScope.scope.name]).toEqual(['umbral', '@microlabs/otel-cf-workers'])
    theirScope.scope.name = 'umbral'
    // For a span that has not failed, this exporter omits the status that the library writes: code 0 is the default.
    expect([ourScope.spans[1]!.status, theirScope.spans[1]!.status]).toEqual([null, { code: 0, message: '' }])
    theirScope.spans[1]!.status = null
    expect(our).toEqual(their)
  })

  it.each<[string, AttributeValue, ours: object, theirs: object]>([
    [
      'cuts long text, since a client can send it by the kilobyte',
      'x'.repeat(1_025),
      { stringValue: 'x'.repeat(1_024) },
      { stringValue: 'x'.repeat(1_025) },
    ],
    [
      'does not give a number for exact that cannot be',
      2 ** 60,
      { doubleValue: 2 ** 60 },
      { intValue: String(2n ** 60n) },
    ],
    ['writes as text what JSON has no number for, since null is no value', NaN, { stringValue: 'NaN' }, {}],
  ])('%s', async (_, value, our, their) => {
    const spans = [{ ...client, attributes: { value } }]
    const written = [ours(spans), await theirs(spans)].map((json) => firstScope(decode(json)).spans[0]!.attributes)
    expect(written.map(([attribute]) => attribute!.value)).toEqual([our, their])
  })
})
