import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { listen, type Listening } from './listen.ts'

export type Origin = Listening

/**
 * A real HTTP origin on a free loopback port. The path says what it does:
 * `/status/503` answers that; `/delay/200` waits 200 ms first; `/reset` resets the connection;
 * everything else answers JSON that repeats what arrived (method, raw target, raw headers, body).
 */
export function startOrigin(): Promise<Origin> {
  // A request whose body breaks off has nobody to respond to.
  return listen(createServer((request, response) => void answer(request, response).catch(() => request.destroy())))
}

/** Waits `ms` milliseconds; false as soon as the client has closed the connection. */
function isStillWaiting(response: ServerResponse, ms: number): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms, true)
    response.on('close', () => {
      clearTimeout(timer)
      resolve(false)
    })
  })
}

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const [, verb, argument] = (request.url ?? '').split('?')[0]!.split('/')
  if (verb === 'reset') return void request.socket.resetAndDestroy()
  if (verb === 'delay' && !(await isStillWaiting(response, Number(argument)))) return
  const status = verb === 'status' ? Number(argument) : 200
  const body = {
    method: request.method,
    target: request.url,
    headers: request.rawHeaders,
    body: Buffer.concat(chunks).toString('latin1'),
  }
  response.writeHead(status, { 'content-type': 'application/json', server: 'origin' })
  response.end(JSON.stringify(body))
}
