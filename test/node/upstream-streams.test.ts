import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listen, type Listening } from '../support/listen.ts'
import { serveUpstream, type ServedUpstream } from '../support/served-upstream.ts'

const MB = 1024 * 1024

/** The most memory that the process has had resident, in megabytes. */
const peakMb = (pid: number) => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024

let origin: Listening
let gateways: ServedUpstream[]

beforeAll(async () => {
  const server = createServer((request, response) => void answer(request, response))
  server.on('upgrade', (request, socket) => {
    const key = `${request.url === '/wrong' ? '' : request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
    const accept = createHash('sha1').update(key).digest('base64')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    )
    // One unmasked text frame, later than any timeout.
    setTimeout(() => socket.write(Buffer.from([0x81, 2, 0x68, 0x69])), 600)
    socket.on('error', () => {})
  })
  origin = await listen(server)
  const { url } = origin
  gateways = await Promise.all([
    serveUpstream({ targets: [{ url }], timeout: '500ms' }),
    serveUpstream({ targets: [{ url }], timeout: '500ms', idleTimeout: '2s' }),
  ])
})
afterAll(async () => {
  await Promise.all(gateways.map((gateway) => gateway.stop()))
  await origin.stop()
})

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url?.startsWith('/die')) {
    let bytes = 0
    request.on('error', () => {})
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes < 200_000) return
      if (request.url === '/die/reset') request.socket.resetAndDestroy()
      else request.socket.destroy()
    })
    return
  }
  if (request.url === '/two-lengths') {
    const head = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 4\r\nConnection: close\r\n\r\n'
    return void request.socket.end(`${head}done`)
  }
  if (request.url === '/upload') {
    let bytes = 0
    for await (const chunk of request) bytes += (chunk as Buffer).length
    return void response.end(String(bytes))
  }
  if (request.url === '/events') {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: one\n\n')
    // Longer than the timeout: response headers have disarmed it.
    return void setTimeout(() => response.end('data: two\n\n'), 600)
  }
  if (request.url === '/gzip') {
    const body = gzipSync('plain text')
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': body.length })
    return void response.end(body)
  }
  response.writeHead(200, { 'content-length': 100 * MB })
  for (let sent = 0; sent < 100; sent++) if (!response.write(Buffer.alloc(MB))) await once(response, 'drain')
  response.end()
}

describe.each([
  ['without idleTimeout', 0],
  ['with idleTimeout', 1],
])('what streams %s', (_, nth) => {
  const url = (path: string) => gateways[nth]!.url + path

  it('passes 100 MB down with its length, in constant memory', async () => {
    const response = await fetch(url('/download'))
    expect(response.headers.get('content-length')).toBe(String(100 * MB))
    let bytes = 0
    for await (const chunk of response.body!) bytes += chunk.length
    expect(bytes).toBe(100 * MB)
    expect(peakMb(gateways[nth]!.pid)).toBeLessThan(150)
  })

  it('passes server-sent events as they come, past the timeout', async () => {
    const reader = (await fetch(url('/events'))).body!.pipeThrough(new TextDecoderStream()).getReader()
    const started = Date.now()
    expect((await reader.read()).value).toBe('data: one\n\n')
    expect(Date.now() - started).toBeLessThan(300)
    expect((await reader.read()).value).toBe('data: two\n\n')
  })

  it('passes an encoded body on as encoded', async () => {
    const response = await fetch(url('/gzip'), { headers: { 'accept-encoding': 'gzip' } })
    expect(response.headers.get('content-encoding')).toBe('gzip')
    expect(await response.text()).toBe('plain text')
  })

  it('passes a WebSocket on', async () => {
    const socket = new WebSocket(url('/socket').replace('http', 'ws'))
    const [event] = (await once(socket, 'message')) as [{ data: string }]
    expect(event.data).toBe('hi')
    socket.close()
  })

  it.each(['/die/reset', '/die/fin'])('blames the origin that dies while it is being sent a body: %s', async (path) => {
    for (const body of [new Uint8Array(3 * MB), new Blob([new Uint8Array(3 * MB)]).stream()]) {
      const response = await fetch(url(path), { method: 'POST', body, duplex: 'half' } as RequestInit)
      expect([response.status, await response.json()]).toMatchObject([502, { code: 'upstream-unreachable' }])
    }
  })

  it('passes an answer that states its length twice', async () => {
    const response = await fetch(url('/two-lengths'))
    expect([response.status, await response.text()]).toEqual([200, 'done'])
  })

  it('answers a handshake that fails at the origin with a problem', async () => {
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    }
    const call = request(url('/wrong'), { headers }).end()
    const [response] = (await once(call, 'response')) as [IncomingMessage]
    expect([response.statusCode, await json(response)]).toMatchObject([502, { code: 'upstream-protocol' }])
  })

  it('passes 20 MB up in constant memory', async () => {
    const response = await fetch(url('/upload'), { method: 'POST', body: new Uint8Array(20 * MB) })
    expect(await response.text()).toBe(String(20 * MB))
    expect(peakMb(gateways[nth]!.pid)).toBeLessThan(150)
  })
})
