import { createServer as createHttpServer } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'

/** The servers beside the gateway. */
export interface BenchOrigin {
  /** Responds to every request with the same 150 bytes of JSON, and to `/jwks` with the issuer's keys. */
  readonly url: string
  /** Accepts spans (OTLP/HTTP). */
  readonly otlpUrl: string
  /** The number of batches of spans received. */
  readonly batches: () => number
  readonly stop: () => void
}

/**
 * Starts the origin, the issuer and the collector in this process. The origin uses plain sockets, because Node's HTTP server would cost more than
 * the gateway in front of it.
 */
export async function startBenchOrigin(jwks: object): Promise<BenchOrigin> {
  const response = responseOf({ id: '42', name: 'Ada Lovelace', email: 'ada@example.com', tags: ['a', 'b', 'c'] })
  const keys = responseOf(jwks)
  const origin = createServer({ noDelay: true }, (socket) => {
    let tail = ''
    socket.setEncoding('latin1')
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: string) => {
      const heads = (tail + chunk).split('\r\n\r\n')
      tail = heads.pop()!
      for (const head of heads) socket.write(head.startsWith('GET /jwks') ? keys : response)
    })
  })
  let batches = 0
  const collector = createHttpServer((request, reply) => {
    batches++
    request.resume().on('end', () => reply.setHeader('content-type', 'application/json').end('{}'))
  })
  const [url, otlpUrl] = await Promise.all([listen(origin), listen(collector)])
  return {
    url,
    otlpUrl,
    batches: () => batches,
    stop() {
      for (const server of [origin, collector]) server.close().unref()
      collector.closeAllConnections()
    },
  }
}

function responseOf(body: object): Buffer {
  const text = JSON.stringify(body)
  return Buffer.from(
    `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  )
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
