import { connect } from 'node:net'

/** Sends bytes as they are to a loopback port and gives back all that comes until the connection ends. */
export function sendRaw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes, 'latin1'))
    let answer = ''
    socket.on('data', (chunk) => (answer += chunk.toString('latin1')))
    socket.on('end', () => resolve(answer))
    socket.on('error', reject)
  })
}

/** A GET of a raw target, closing the connection; the status and the body. */
export async function getRaw(port: number, target: string, headers = ''): Promise<{ status: number; body: string }> {
  const answer = await sendRaw(port, `GET ${target} HTTP/1.1\r\nHost: gw.test\r\n${headers}Connection: close\r\n\r\n`)
  const end = answer.indexOf('\r\n\r\n')
  return { status: Number(answer.slice(9, 12)), body: answer.slice(end + 4) }
}

/** Opens a request and resets the connection (RST) as soon as `when` resolves. */
export function resetDuring(port: number, target: string, when: Promise<unknown>): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(`GET ${target} HTTP/1.1\r\nHost: gw.test\r\n\r\n`)
      void when.then(() => socket.resetAndDestroy())
    })
    socket.on('close', () => resolve())
    socket.on('error', reject)
  })
}
