import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { listen } from '../support/listen.ts'
import { startOtlpReceiver, type OtlpReceiver, type ReceivedSpan } from '../support/otlp-receiver.ts'
import { runWorker, type RunningWorker } from '../support/run-worker.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const WORKER = join(import.meta.dirname, '../telemetry/worker.ts')
const SERVER = 2
const CLIENT = 3

const stops: (() => Promise<void>)[] = []
afterAll(async () => {
  for (const stop of stops) await stop()
})

async function urlOf(server: Server): Promise<string> {
  const { url, stop } = await listen(server)
  stops.push(stop)
  return url
}

async function start(variables: Readonly<Record<string, string>>): Promise<RunningWorker> {
  const worker = await runWorker(WORKER, { variables })
  stops.push(worker.stop)
  return worker
}

/** An origin that keeps the headers it got and answers with the status that its path names. */
const seen: IncomingHttpHeaders[] = []
const origin = await urlOf(
  createServer((request, response) => {
    seen.push(request.headers)
    response.writeHead(Number(/^\/status\/(\d+)/.exec(request.url ?? '')?.[1] ?? 200)).end()
  }),
)

async function startReceiver(): Promise<OtlpReceiver> {
  const receiver = await startOtlpReceiver()
  stops.push(receiver.stop)
  return receiver
}

describe('traces over the wire', async () => {
  const receiver = await startReceiver()
  const worker = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: `${receiver.url}/`,
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=a%20secret, X-Team = edge,not a header',
    OTEL_SERVICE_NAME: 'edge',
    ORIGIN: origin,
  })

  /** The spans that one request added, the SERVER span first. */
  async function trace(
    path: string,
    spans: number,
    headers: Record<string, string> = {},
  ): Promise<readonly ReceivedSpan[]> {
    const before = receiver.spans().length
    await (await fetch(worker.url + path, { headers })).arrayBuffer()
    return (await receiver.waitForSpans(before + spans)).slice(before)
  }

  it('hang together, and the origin is a child of the try', async () => {
    const [server, auth, limit, client] = await trace('/users/7', 4, {
      traceparent: `00-${TRACE}-${SPAN}-01`,
      tracestate: 'a=1,b=2',
    })
    expect(server).toMatchObject({ kind: SERVER, name: 'GET get-user', parentSpanId: SPAN, service: 'edge', status: 0 })
    expect(server!.attributes).toEqual({
      'http.request.method': 'GET',
      'http.route': 'get-user',
      'url.path': '/users/7',
      'url.scheme': 'http',
      'server.address': 'gw.test',
      'server.port': 8787,
      'client.address': '::1',
      'user_agent.original': 'wrk',
      'http.response.status_code': 200,
    })
    expect([auth, limit, client].map((span) => span!.name)).toEqual(['auth', 'rateLimit', 'GET'])
    for (const span of [auth, limit, client]) expect(span!.parentSpanId).toBe(server!.spanId)
    for (const span of [server, auth, limit, client])
      expect(span).toMatchObject({ traceId: TRACE, traceState: 'a=1,b=2' })
    expect(client).toMatchObject({ kind: CLIENT, attributes: { 'http.response.status_code': 200 } })
    expect(seen.at(-1)).toMatchObject({ traceparent: `00-${TRACE}-${client!.spanId}-01`, tracestate: 'a=1,b=2' })
    expect(new Set([server, auth, limit, client].map((span) => span!.spanId)).size).toBe(4)
    expect(server!.headers).toMatchObject({
      'api-key': 'a secret',
      'x-team': 'edge',
      'content-type': 'application/json',
    })
  })

  it('begin here when the caller has none', async () => {
    const [server, , , client] = await trace('/users/7', 4)
    expect(server!.parentSpanId).toBe('')
    expect(seen.at(-1)!['traceparent']).toBe(`00-${server!.traceId}-${client!.spanId}-03`)
  })

  it('are also of refusals that do no I/O', async () => {
    const [server, auth] = await trace('/refused', 2)
    expect(server!.attributes).toMatchObject({ 'http.response.status_code': 401, 'umbral.problem': 'token-missing' })
    expect(server!.status).toBe(0)
    expect(auth).toMatchObject({
      name: 'auth',
      parentSpanId: server!.spanId,
      attributes: { 'umbral.problem': 'token-missing' },
    })
  })

  it('say what failed', async () => {
    const [server, , limit] = await trace('/throws', 3)
    expect(server).toMatchObject({
      status: 2,
      attributes: { 'error.type': 'internal-error', 'umbral.problem': 'internal-error' },
    })
    expect(limit).toMatchObject({ name: 'rateLimit', status: 2, attributes: { 'error.type': 'TypeError' } })
    const [answered, , , client] = await trace('/status/503', 4)
    expect(client).toMatchObject({ status: 2, attributes: { 'error.type': '503' } })
    expect(answered).toMatchObject({ status: 2, attributes: { 'error.type': '503' } })
  })

  it('are passed on but not recorded when the caller does not record', async () => {
    const before = receiver.received()
    await fetch(`${worker.url}/users/7`, { headers: { traceparent: `00-${TRACE}-${SPAN}-00`, tracestate: 'a=1' } })
    expect(seen.at(-1)!['traceparent']).toMatch(new RegExp(`^00-${TRACE}-(?!${SPAN})[0-9a-f]{16}-00$`))
    expect(seen.at(-1)!['tracestate']).toBe('a=1')
    await trace('/refused', 2)
    expect(receiver.received() - before).toBe(2)
  })

  it('arrive in batches: a burst takes few exports and loses nothing', async () => {
    const before = receiver.received()
    await Promise.all(
      Array.from({ length: 100 }, () => fetch(`${worker.url}/refused`).then((answer) => answer.arrayBuffer())),
    )
    await receiver.waitForSpans(before + 200)
    expect(await (await fetch(`${worker.url}/counts`)).json()).toMatchObject({ dropped: 0, failed: 0 })
    expect(receiver.faults()).toEqual([])
  })
})

describe('a collector that is not well', () => {
  const reject = createServer((request, response) => {
    request.resume()
    response.writeHead(503).end()
  })

  it.each([
    ['is down', async () => 'http://127.0.0.1:1'],
    ['refuses', () => urlOf(reject)],
    ['hangs', () => urlOf(createServer())],
  ])('neither fails nor delays a request when it %s, and is said once', async (_, endpoint) => {
    const worker = await start({ OTEL_EXPORTER_OTLP_ENDPOINT: await endpoint(), ORIGIN: origin })
    const times: number[] = []
    for (let requests = 0; requests < 200; requests++) {
      const began = performance.now()
      const answer = await fetch(`${worker.url}/users/7`)
      await answer.arrayBuffer()
      expect(answer.status).toBe(200)
      times.push(performance.now() - began)
    }
    // Far below the exporter's two seconds, far above what a busy machine adds.
    expect(Math.max(...times)).toBeLessThan(1_000)
    await expect.poll(async () => (await counts(worker)).failed, { timeout: 6_000 }).toBe(800)
    const lines = worker.output().trim().split('\n')
    expect(lines.filter((line) => line.includes('"event":"trace-export"'))).toHaveLength(1)
    expect(lines).toHaveLength(1)
  })

  const counts = async (worker: RunningWorker) =>
    (await (await fetch(`${worker.url}/counts`)).json()) as { exported: number; dropped: number; failed: number }
})
