import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startGateway, type RunningGateway } from '../support/gateway.ts'
import { listen, type Listening } from '../support/listen.ts'
import { startOtlpReceiver, type OtlpReceiver } from '../support/otlp-receiver.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const CALLER = `00-${TRACE}-00f067aa0ba902b7-01`

let receiver: OtlpReceiver
let gateway: RunningGateway
let good: Listening
let bad: Listening
/** The traceparent of every request that an origin got. */
const seen: string[] = []

const startOrigin = (status: number): Promise<Listening> =>
  listen(
    createServer((request, response) => {
      seen.push(String(request.headers.traceparent))
      response.writeHead(status).end('{}')
    }),
  )

beforeAll(async () => {
  receiver = await startOtlpReceiver()
  ;[bad, good] = await Promise.all([startOrigin(503), startOrigin(200)])
  gateway = await startGateway({
    env: { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url, OTEL_SERVICE_NAME: 'gw' },
    routes: {
      upstreams: {
        users: {
          targets: [{ url: bad.url }, { url: good.url }],
          retry: { backoff: { base: '1ms', max: '1ms' } },
        },
      },
      routes: [
        {
          id: 'get-user',
          match: { methods: ['GET'], path: '/users/:id' },
          upstream: 'users',
          policies: {
            ip: { deny: ['192.0.2.0/24'] },
            rateLimit: [
              {
                name: 'few',
                algorithm: 'fixed-window',
                limit: 1,
                window: '1d',
                key: ['client.ip'],
                consistency: 'local',
              },
            ],
          },
        },
      ],
    },
  })
})

afterAll(async () => {
  await gateway.kill()
  await receiver.stop()
  await Promise.all([good.stop(), bad.stop()])
})

describe('traces as a collector sees them', () => {
  it('tells of a retried request: one SERVER span, a span a policy, a CLIENT span a try, under the caller’s trace', async () => {
    const response = await fetch(`${gateway.url}/users/7?token=secret`, {
      headers: { traceparent: CALLER, tracestate: 'v=1' },
    })
    expect(response.status).toBe(200)
    const spans = await receiver.waitForSpans(5)
    const [server, ...children] = spans.toSorted((a, b) => Number(b.kind === 2) - Number(a.kind === 2))
    expect(server).toMatchObject({
      service: 'gw',
      traceId: TRACE,
      parentSpanId: '00f067aa0ba902b7',
      traceState: 'v=1',
      name: 'GET get-user',
      attributes: {
        'http.request.method': 'GET',
        'http.route': 'get-user',
        'url.path': '/users/7',
        'http.response.status_code': 200,
        'client.address': '127.0.0.1',
      },
    })
    expect(children.map((span) => [span.traceId, span.parentSpanId, span.kind, span.name])).toEqual([
      [TRACE, server!.spanId, 1, 'ip'],
      [TRACE, server!.spanId, 1, 'rateLimit'],
      [TRACE, server!.spanId, 3, 'GET'],
      [TRACE, server!.spanId, 3, 'GET'],
    ])
    const tries = children.filter((span) => span.kind === 3)
    expect(
      tries.map((span) => [
        span.attributes['http.response.status_code'],
        span.attributes['http.request.resend_count'],
        span.status,
      ]),
    ).toEqual([
      [503, undefined, 2],
      [200, 1, 0],
    ])
    // Each try was told its own span as its parent.
    expect(seen).toEqual(tries.map((span) => `00-${TRACE}-${span.spanId}-01`))
    expect(JSON.stringify(spans)).not.toContain('secret')
    expect(gateway.logs().at(-1)).toMatchObject({ id: TRACE, route: 'get-user', status: 200, attempts: 2 })
  })

  it('tells of refusals that do no I/O', async () => {
    const before = receiver.received()
    await fetch(`${gateway.url}/users/7`)
    await fetch(`${gateway.url}/nowhere`)
    const spans = (await receiver.waitForSpans(before + 4)).slice(before).filter((span) => span.kind === 2)
    expect(
      spans.map((span) => [span.name, span.attributes['http.response.status_code'], span.attributes['umbral.problem']]),
    ).toEqual([
      ['GET get-user', 429, 'quota-exceeded'],
      ['GET', 404, 'not-found'],
    ])
  })
})
