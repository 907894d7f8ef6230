import { JsonTraceSerializer, ProtobufTraceSerializer } from '@opentelemetry/otlp-transformer'
import { afterAll, describe, expect, it } from 'vitest'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'

type Spans = Parameters<typeof JsonTraceSerializer.serializeRequest>[0]

/** A span as the official SDK hands it to its serializers. */
const official = [
  {
    name: 'GET get-user',
    kind: 1,
    spanContext: () => ({ traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1 }),
    startTime: [1_800_000_000, 5_000_000],
    endTime: [1_800_000_000, 8_000_000],
    status: { code: 2 },
    attributes: { 'http.response.status_code': 503, 'url.path': '/users/7', flag: true, ratio: 0.5 },
    links: [],
    events: [],
    duration: [0, 3_000_000],
    ended: true,
    resource: { attributes: { 'service.name': 'official' }, asyncAttributesPending: false },
    instrumentationScope: { name: 'test' },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  },
] as unknown as Spans

const receiver = await startOtlpReceiver()
afterAll(() => receiver.stop())

const post = async (body: string | Uint8Array<ArrayBuffer>, type = 'application/json', path = '/v1/traces') =>
  (await fetch(receiver.url + path, { method: 'POST', body, headers: { 'content-type': type } })).status

describe('the OTLP receiver of the tests', () => {
  it('reads what the official serializer writes as protobuf', async () => {
    const before = receiver.spans().length
    const bytes = new Uint8Array(ProtobufTraceSerializer.serializeRequest(official)!)
    expect(await post(bytes, 'application/x-protobuf')).toBe(200)
    expect(receiver.spans()[before]).toMatchObject({
      service: 'official',
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      parentSpanId: '',
      name: 'GET get-user',
      kind: 2,
      startMs: 1_800_000_000_005,
      endMs: 1_800_000_000_008,
      status: 2,
      attributes: { 'http.response.status_code': 503, 'url.path': '/users/7', flag: true, ratio: 0.5 },
    })
  })

  const span = {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    name: 'GET',
    kind: 2,
    startTimeUnixNano: '1800000000000000000',
    endTimeUnixNano: '1800000000000000000',
    attributes: [{ key: 'a', value: { intValue: '1' } }],
  }
  const wrap = (
    parts: object,
    resource: object = { attributes: [{ key: 'service.name', value: { stringValue: 's' } }] },
  ) =>
    JSON.stringify({
      resourceSpans: [{ resource, scopeSpans: [{ scope: { name: 'x' }, spans: [{ ...span, ...parts }] }] }],
    })

  it('takes the span that the next test breaks', async () => {
    expect(await post(wrap({}))).toBe(200)
  })

  it.each<[string, object]>([
    ['an unknown field', { spanKind: 2 }],
    ['a kind by an unknown name', { kind: 'SERVER' }],
    ['no kind', { kind: 0 }],
    ['a name of another type', { name: 5 }],
    ['no name', { name: '' }],
    ['an id in base64', { spanId: 't61rcWkgMzE=' }],
    ['a short id', { traceId: '0af7651916cd43dd' }],
    ['an id of zeros', { parentSpanId: '0'.repeat(16) }],
    ['a time that is no integer', { startTimeUnixNano: '1.8e18' }],
    ['an end before the start', { endTimeUnixNano: '1' }],
    ['an attribute twice', { attributes: [...span.attributes, ...span.attributes] }],
    ['an attribute of no type', { attributes: [{ key: 'a', value: 'b' }] }],
    ['an attribute of an unknown type', { attributes: [{ key: 'a', value: { dateValue: 'b' } }] }],
  ])('refuses %s', async (_, parts) => {
    const faults = receiver.faults().length
    expect(await post(wrap(parts))).toBe(400)
    expect(receiver.faults()).toHaveLength(faults + 1)
  })

  it('refuses a resource without a name, another path, another type, and what is no JSON', async () => {
    expect(await post(wrap({}, { attributes: [] }))).toBe(400)
    expect(await post(wrap({}), 'application/json', '/v1/trace')).toBe(400)
    expect(await post(wrap({}), 'text/plain')).toBe(400)
    expect(await post('{')).toBe(400)
  })
})
