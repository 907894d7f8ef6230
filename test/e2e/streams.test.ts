import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createConnection } from 'node:net'
import { request } from 'undici'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startEchoOrigin, ZIPPED_PART, type EchoOrigin } from '../support/echo-origin.ts'
import { startGateway, type RunningGateway } from '../support/gateway.ts'

let origin: EchoOrigin
let gateway: RunningGateway

/** Every stage of an upstream; one request at a time may wait for headers, and a try has less time than any stream here lasts. */
const STAGES = {
  timeout: '300ms',
  idleTimeout: '5s',
  maxConcurrent: 1,
  circuitBreaker: { minimumRequests: 3, openDuration: '30s' },
  hedge: { after: '200ms', max: 1 },
  retry: { attempts: 1, perTryTimeout: '250ms', budget: { minPerSecond: 100 } },
  outlierDetection: {},
}

beforeAll(async () => {
  origin = await startEchoOrigin()
  const targets = [{ url: origin.url }]
  const limit = {
    name: 'few',
    algorithm: 'fixed-window',
    limit: 2,
    window: '1h',
    key: ['client.ip'],
    consistency: 'local',
  }
  gateway = await startGateway({
    routes: {
      upstreams: {
        all: { targets, ...STAGES },
        failing: { targets, ...STAGES },
        large: {
          targets,
          ...STAGES,
          timeout: '30s',
          retry: { attempts: 1, perTryTimeout: '20s', methods: ['GET', 'PUT'] },
        },
      },
      routes: [
        { id: 'all', match: { path: '/*' }, upstream: 'all' },
        { id: 'large', match: { path: '/large/*' }, upstream: 'large' },
        { id: 'count', match: { path: '/count' }, upstream: 'large' },
        {
          id: 'zipped',
          match: { path: '/zipped' },
          upstream: 'all',
          policies: { headers: { response: { set: { 'x-edited': 'yes' } } } },
        },
        { id: 'status', match: { path: '/status/*' }, upstream: 'failing' },
        { id: 'opens', match: { path: '/ws/failing' }, upstream: 'failing' },
        { id: 'limited', match: { path: '/ws/limited' }, upstream: 'all', policies: { rateLimit: [limit] } },
      ],
    },
  })
})
afterAll(async () => {
  await gateway.kill()
  await origin.stop()
})

type Events = { open: object; message: { data: unknown }; close: { code: number; wasClean: boolean }; error: object }

/** A WebSocket whose events are waited for one by one. */
function connect(path: string) {
  const socket = new WebSocket(`ws://127.0.0.1:${gateway.port}${path}`)
  const next = <Name extends keyof Events>(name: Name) =>
    new Promise<Events[Name]>((resolve) =>
      socket.addEventListener(name, (event) => resolve(event as unknown as Events[Name]), { once: true }),
    )
  const echo = async (text: string) => {
    const answer = next('message')
    socket.send(text)
    return (await answer).data
  }
  return { socket, next, echo }
}

/** One that is open. */
async function open(path: string) {
  const connected = connect(path)
  await connected.next('open')
  return connected
}

const streaming = (count: number) =>
  vi.waitFor(() => expect(origin.streaming()).toBe(count), { timeout: 5_000, interval: 10 })

describe('a WebSocket through every stage', () => {
  it('is open for longer than the timeout, beside others: what counts is the handshake', async () => {
    const both = [await open('/ws'), await open('/ws')]
    await new Promise((over) => setTimeout(over, 600))
    for (const { echo } of both) expect(await echo('hello')).toBe('hello')
    await streaming(2)
    for (const { socket, next } of both) {
      const closed = next('close')
      socket.close(4000, 'enough')
      expect(await closed).toMatchObject({ code: 4000, wasClean: true })
    }
    await streaming(0)
  })

  it('is closed by its origin', async () => {
    const { socket, next } = await open('/ws')
    const closed = next('close')
    socket.send('close')
    expect((await closed).code).toBe(4001)
    await streaming(0)
  })

  it('is broken off when its origin is', async () => {
    const { socket, next } = await open('/ws')
    const closed = next('close')
    socket.send('drop')
    expect(await closed).toMatchObject({ code: 1006, wasClean: false })
    await streaming(0)
  })

  it.each(['destroy', 'resetAndDestroy'] as const)(
    'is over for its origin when the client vanishes by %s',
    async (vanish) => {
      const socket = createConnection(gateway.port, '127.0.0.1')
      socket.write(
        'GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      )
      const [head] = (await once(socket, 'data')) as [Buffer]
      expect(head.toString()).toMatch(/^HTTP\/1.1 101/)
      await streaming(1)
      socket[vanish]()
      await streaming(0)
    },
  )

  it('is one handshake to a limit, however much is said', async () => {
    const both = [await open('/ws/limited'), await open('/ws/limited')]
    for (const { echo } of both) for (let nth = 0; nth < 10; nth++) expect(await echo(`m${nth}`)).toBe(`m${nth}`)
    await connect('/ws/limited').next('error')
    for (const { socket } of both) socket.close()
    await streaming(0)
  })

  it('goes on while the breaker is open, which refuses further handshakes', async () => {
    const { socket, echo } = await open('/ws/failing')
    const refused = async () => expect((await fetch(`${gateway.url}/status/500`)).status).toBe(503)
    await vi.waitFor(refused, { timeout: 5_000, interval: 20 })
    expect(await echo('still here')).toBe('still here')
    await connect('/ws/failing').next('error')
    socket.close()
    await streaming(0)
  })
})

describe('server-sent events through every stage', () => {
  it('pass each when it comes, past the timeout, beside others', async () => {
    const response = await fetch(`${gateway.url}/events`)
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
    for (let nth = 0; nth < 4; nth++) {
      await fetch(`${gateway.url}/events/next`)
      expect((await reader.read()).value).toMatch(/^data: \d+\n\n$/)
      await new Promise((over) => setTimeout(over, 150))
    }
    await reader.cancel()
    // workerd notices a client that just closes (FIN) when there is something to write to it.
    await vi.waitFor(
      async () => {
        await fetch(`${gateway.url}/events/next`)
        expect(origin.streaming()).toBe(0)
      },
      { timeout: 3_000, interval: 50 },
    )
  })
})

it('passes the very bytes of something compressed on through every stage, with headers of its own', async () => {
  const answer = await request(`${gateway.url}/zipped`, { headers: { 'accept-encoding': 'gzip', range: 'bytes=5-24' } })
  expect([answer.statusCode, Buffer.from(await answer.body.arrayBuffer())]).toEqual([206, ZIPPED_PART])
  expect(answer.headers).toMatchObject({
    'content-encoding': 'gzip',
    'content-length': '20',
    etag: '"strong"',
    'x-edited': 'yes',
  })
})

describe('100 MiB through every stage', () => {
  const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${gateway.pid}/status`, 'utf8'))![1]) / 1024

  it('pass both ways in constant memory', async () => {
    await (await fetch(`${gateway.url}/large/8`)).arrayBuffer()
    const before = rss()
    let highest = before
    let bytes = 0
    for await (const chunk of (await fetch(`${gateway.url}/large/100`)).body!) {
      bytes += (chunk as Uint8Array).byteLength
      highest = Math.max(highest, rss())
    }
    expect(bytes).toBe(100 * 1024 ** 2)
    const mebibyte = new Uint8Array(1024 ** 2)
    let sent = 0
    const upload = new ReadableStream<Uint8Array>({
      pull(controller) {
        highest = Math.max(highest, rss())
        if (sent++ < 100) controller.enqueue(mebibyte)
        else controller.close()
      },
    })
    const put = { method: 'PUT', body: upload, duplex: 'half' } as RequestInit
    expect(await (await fetch(`${gateway.url}/count`, put)).text()).toBe(String(100 * 1024 ** 2))
    expect(highest - before).toBeLessThan(48)
  })
})
