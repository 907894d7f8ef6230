import { connect, createServer, type Socket } from 'node:net'
import { listen } from './listen.ts'

export interface FaultOrigin {
  readonly url: string
  /** The raw head of each request, and what followed it in the same packets. */
  readonly received: string[]
  /** Connections that are open now. */
  readonly open: () => number
  readonly stop: () => Promise<void>
}

/** An origin below HTTP: `answer` does what it likes with the bytes of each connection. */
export async function startFaultOrigin(answer: (path: string, socket: Socket) => void): Promise<FaultOrigin> {
  const received: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.on('data', (data) => {
      const text = data.toString('latin1')
      const path = /^[A-Z]+ (\S+) HTTP/.exec(text)?.[1]
      if (path === undefined) received.push((received.pop() ?? '') + text)
      else received.push(text)
      if (path !== undefined) answer(path, socket)
    })
  })
  const { url, stop } = await listen(server)
  return {
    url,
    received,
    open: () => sockets.size,
    stop,
  }
}

/** An HTTP/1.1 answer with a length. */
export function http(status: number, headers: readonly string[] = [], body = 'ok'): string {
  return [`HTTP/1.1 ${status} x`, ...headers, `Content-Length: ${body.length}`, '', body].join('\r\n')
}

/** Sends raw bytes, does `then` after `ms` milliseconds, and resolves with all that came back until the connection closed. */
export function rawRequest(
  port: number,
  text: string,
  then: (socket: Socket) => void = () => {},
  ms = 100,
): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(text)
      setTimeout(() => then(socket), ms)
    })
    socket.on('data', (data) => (answer += data.toString('latin1')))
    socket.on('error', () => {})
    socket.on('close', () => resolve(answer))
  })
}
