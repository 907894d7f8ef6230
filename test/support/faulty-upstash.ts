import { Agent, createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'
import { startUpstash } from '../../dev/upstash/server.ts'
import { FAULTS, type StoreFault } from './faults.ts'
import { listen } from './listen.ts'

export interface FaultyUpstash {
  readonly url: string
  readonly token: string
  readonly redisPid: () => number
  /** From now on every command is answered so; undefined: by Redis again. */
  readonly setFault: (fault: StoreFault | undefined) => void
  /** Requests since the start. */
  readonly asked: () => number
  /** Kills Redis and starts an empty one at the same address. */
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
}

// It would cost more than Redis does to connect for each command.
const agent = new Agent({ keepAlive: true })

/** A real Redis behind Upstash's protocol, at an address that outlives it and can answer as a store that is ill does. */
export async function startFaultyUpstash(): Promise<FaultyUpstash> {
  let upstash = await startUpstash()
  let fault: StoreFault | undefined
  let asked = 0
  const server = createServer((incoming, response) => {
    asked++
    if (fault !== undefined) return FAULTS[fault](response)
    forward(incoming, response, upstash).catch(() => response.destroy())
  })
  const { url, stop } = await listen(server)
  return {
    url,
    token: 'any',
    redisPid: () => upstash.redisPid,
    setFault: (next) => void (fault = next),
    asked: () => asked,
    async restart() {
      await upstash.stop()
      upstash = await startUpstash()
    },
    stop: async () => {
      await Promise.all([stop(), upstash.stop()])
    },
  }
}

function forward(from: IncomingMessage, to: ServerResponse, target: { url: string; token: string }): Promise<void> {
  return new Promise((done, failed) => {
    const headers = { ...from.headers, authorization: `Bearer ${target.token}` }
    const sent = request(target.url + from.url!, { agent, method: from.method!, headers }, (answer) => {
      to.writeHead(answer.statusCode!, { 'content-type': 'application/json' })
      answer.on('error', failed).on('end', done).pipe(to)
    })
    from.pipe(sent.on('error', failed))
  })
}
