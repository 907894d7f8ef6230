import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
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
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
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

  it('passes 20 MB up in constant memory', async () => {
    const response = await fetch(url('/upload'), { method: 'POST', body: new Uint8Array(20 * MB) })
    expect(await response.text()).toBe(String(20 * MB))
    expect(peakMb(gateways[nth]!.pid)).toBeLessThan(150)
  })
})
