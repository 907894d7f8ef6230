import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { listen } from './listen.ts'

export interface EchoOrigin {
  readonly url: string
  /** Raw request targets, as they came over the wire. */
  readonly targets: string[]
  /** Requests that wait for an answer at `/hang`. */
  readonly hanging: () => number
  /** Connections that are WebSockets, or streams of events, now. */
  readonly streaming: () => number
  readonly stop: () => Promise<void>
}

/**
 * A real origin for what streams. `/hang` never answers; `/events` sends three server-sent events, one each time `next()` is called by a GET on
 * `/events/next`; `/large/N` sends N MiB; `/count` counts the bytes of a body; `/zipped` sends a part (206) of something compressed, `ZIPPED_PART`; `/ws` echoes WebSocket messages, but for `close`, at which it closes
 * with 4001, and `drop`, at which it breaks the connection; `/status/N` answers that; the rest repeats its method, raw target and headers.
 */
export async function startEchoOrigin(): Promise<EchoOrigin> {
  const targets: string[] = []
  let hanging = 0
  let events: ServerResponse | undefined
  let streaming = 0
  const count = (stream: Socket | ServerResponse) => {
    streaming++
    stream.on('close', () => streaming--)
  }
  const server = createServer((request, response) => {
    targets.push(request.url!)
    const [, verb, argument] = request.url!.split('/')
    if (verb === 'hang') {
      hanging++
      response.on('close', () => hanging--)
    } else if (verb === 'events' && argument === 'next') {
      events?.write(`data: ${Date.now()}\n\n`)
      response.end()
    } else if (verb === 'events') {
      events = response
      count(response)
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    } else if (verb === 'large') void sendLarge(response, Number(argument))
    else if (verb === 'count') countBody(request, response).catch(() => response.destroy())
    else if (verb === 'zipped') response.writeHead(206, ZIPPED_FIELDS).end(ZIPPED_PART)
    else if (verb === 'status') response.writeHead(Number(argument)).end()
    else response.end(JSON.stringify({ method: request.method, target: request.url, headers: request.headers }))
  })
  server.on('upgrade', (request: IncomingMessage, socket: Socket) => {
    count(socket)
    acceptWebSocket(request, socket)
  })
  const { url, stop } = await listen(server)
  return { url, targets, hanging: () => hanging, streaming: () => streaming, stop }
}

/** From the middle of what gzip made: nobody can decode it alone. */
export const ZIPPED_PART = gzipSync('what is compressed').subarray(5, 25)
const ZIPPED_FIELDS = {
  'content-encoding': 'gzip',
  'content-length': ZIPPED_PART.length,
  'content-range': 'bytes 5-24/38',
  etag: '"strong"',
}

const MIB = Buffer.alloc(1024 * 1024, 'x')

async function sendLarge(response: ServerResponse, mebibytes: number): Promise<void> {
  for (let sent = 0; sent < mebibytes; sent++) {
    if (!response.write(MIB)) await new Promise((drained) => response.once('drain', drained))
  }
  response.end()
}

async function countBody(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let bytes = 0
  for await (const chunk of request) bytes += (chunk as Buffer).length
  response.end(String(bytes))
}

/** RFC 6455 for short text messages: each is sent back as it came, as is a close. */
function acceptWebSocket(request: IncomingMessage, socket: Socket): void {
  const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`
  const accept = createHash('sha1').update(key).digest('base64')
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  )
  socket.on('error', () => socket.destroy())
  // Node leaves its half open otherwise.
  socket.on('end', () => socket.end())
  socket.on('data', (frame: Buffer) => {
    const length = frame[1]! & 0x7f
    const mask = frame.subarray(2, 6)
    const payload = frame.subarray(6, 6 + length).map((byte, i) => byte ^ mask[i % 4]!)
    const text = Buffer.from(payload).toString('latin1')
    if (text === 'drop') return void socket.destroy()
    if (text === 'close') return void socket.write(Buffer.from([0x88, 2, 4001 >> 8, 4001 & 0xff]))
    socket.write(Buffer.concat([Buffer.from([frame[0]!, length]), payload]))
    if ((frame[0]! & 0x0f) === 8) socket.end()
  })
}
