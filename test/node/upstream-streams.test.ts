import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { json } from 'node:stream/consumers'
import { brotliCompressSync, gzipSync } from 'node:zlib'
import { request as exactRequest } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listen, type Listening } from '../support/listen.ts'
import { serveUpstream, type ServedUpstream } from '../support/served-upstream.ts'

const MB = 1024 * 1024

/** The most memory that the process has had resident, in megabytes. */
const peakMb = (pid: number) => Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024

const PLAIN = Array.from({ length: 20_000 }, (_, i) => i * i).join(' ')
/** What the origin of `/coded/…` keeps, by `Content-Encoding`. */
const CODED: Readonly<Record<string, Buffer>> = {
  identity: Buffer.from(PLAIN),
  gzip: gzipSync(PLAIN, { level: 0 }),
  br: brotliCompressSync(PLAIN),
}

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

/** As an origin does that has its files compressed: the coding is the client's choice, a range is one of the coded bytes. */
function answerCoded(request: IncomingMessage, response: ServerResponse): void {
  const coding = ['br', 'gzip'].find((name) => request.headers['accept-encoding']?.includes(name)) ?? 'identity'
  const bytes = request.url === '/coded/empty' ? Buffer.alloc(0) : CODED[coding]!
  const fields = {
    etag: '"strong"',
    vary: 'Accept-Encoding',
    ...(coding !== 'identity' && { 'content-encoding': coding }),
  }
  // The second is removed from the response, which is copied for that.
  const all = { ...fields, ...(request.url === '/coded/hop' && { 'proxy-connection': 'keep-alive' }) }
  if (request.headers['if-none-match'] === '"strong"') return void response.writeHead(304, all).end()
  if (request.url === '/coded/none') return void response.writeHead(204, all).end()
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
  const part = range ? bytes.subarray(Number(range[1]), Number(range[2]) + 1) : bytes
  const chunked = request.url === '/coded/chunked'
  response.writeHead(range ? 206 : 200, {
    ...all,
    ...(range && { 'content-range': `${range[0].replace('=', ' ')}/${bytes.length}` }),
    ...(!chunked && { 'content-length': part.length }),
  })
  response.end(part)
}

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
  if (request.url?.startsWith('/coded')) return answerCoded(request, response)
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
    // Longer than the timeout: the response headers have cleared it.
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

  /** Short, because a difference between long ones takes minutes to print. */
  const digest = (bytes: Buffer) => `${bytes.length} ${createHash('sha256').update(bytes).digest('hex')}`
  /** The response to `path`, undecoded. */
  const exact = async (path: string, coding: string, more: Record<string, string> = {}, method = 'GET') => {
    const headers = { 'accept-encoding': coding, ...more }
    const answer = await exactRequest(url(path), { method: method as 'GET', headers })
    const bytes = Buffer.from(await answer.body.arrayBuffer())
    const { 'content-encoding': named, 'content-length': length, etag } = answer.headers
    return {
      status: answer.statusCode,
      coding: named ?? 'identity',
      length: Number(length),
      etag,
      digest: digest(bytes),
    }
  }
  const wanted = (status: number, coding: string, bytes: Buffer, length = bytes.length) => ({
    status,
    coding,
    length,
    etag: '"strong"',
    digest: digest(bytes),
  })

  describe.each(Object.entries(CODED))('in %s', (coding, bytes) => {
    it.each(['/coded/whole', '/coded/hop'])('passes the very bytes on, with length and tag: %s', async (path) => {
      expect(await exact(path, coding)).toEqual(wanted(200, coding, bytes))
      const range = { range: 'bytes=10-30' }
      expect(await exact(path, coding, range)).toEqual(wanted(206, coding, bytes.subarray(10, 31)))
    })

    it('passes them on where no length is known', async () => {
      expect(await exact('/coded/chunked', coding)).toEqual(wanted(200, coding, bytes, NaN))
    })

    it('passes on what has no body', async () => {
      const nothing = Buffer.alloc(0)
      expect(await exact('/coded/empty', coding)).toEqual(wanted(200, coding, nothing))
      expect(await exact('/coded/none', coding)).toEqual(wanted(204, coding, nothing, NaN))
      expect(await exact('/coded/whole', coding, {}, 'HEAD')).toEqual(wanted(200, coding, nothing, bytes.length))
      const condition = { 'if-none-match': '"strong"' }
      expect(await exact('/coded/whole', coding, condition)).toEqual(wanted(304, coding, nothing, NaN))
    })
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
