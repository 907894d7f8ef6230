import { openSync, writeSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** What an origin does with each request, from its arrival. */
export type Behaviour =
  | {
      readonly kind: 'answer'
      readonly status?: number
      readonly delayMs?: number
      readonly headers?: Readonly<Record<string, string>>
    }
  | { readonly kind: 'hang' }
  /** RST: before anything was answered, or with half of the body to come. */
  | { readonly kind: 'reset'; readonly after?: 'headers' }
  /** The body in so many pieces, with a pause before each. */
  | { readonly kind: 'trickle'; readonly pieces: number; readonly pauseMs: number }
  /** Answers so many requests in each 100 ms, and 503 to the others. */
  | { readonly kind: 'capacity'; readonly perTenth: number }

/** One request as it arrived. */
export interface Entry {
  /** Epoch milliseconds. */
  readonly at: number
  readonly method: string
  readonly target: string
  /** The caller's `x-id`. */
  readonly id: string | undefined
  /** The gateway's `x-attempt`. */
  readonly attempt: string | undefined
  /** The status that was to be answered, or what was done instead. */
  readonly outcome: number | 'hang' | 'reset'
}

const [port, file] = process.argv.slice(2)
const ledger = openSync(file!, 'a')
let behaviour: Behaviour = { kind: 'answer' }
let tenth = 0
let served = 0

const server = createServer((request, response) => {
  const now = behaviour
  const outcome = outcomeOf(now)
  const { method = '', url: target = '', headers } = request
  const entry = { at: Date.now(), method, target, id: headers['x-id'], attempt: headers['x-attempt'], outcome }
  // Written before anything else happens: it must outlive a SIGKILL.
  writeSync(ledger, `${JSON.stringify(entry)}\n`)
  answer(request, response, now, outcome).catch(() => response.destroy())
})

function outcomeOf(now: Behaviour): Entry['outcome'] {
  switch (now.kind) {
    case 'answer':
      return now.status ?? 200
    case 'hang':
    case 'reset':
      return now.kind
    case 'trickle':
      return 200
    case 'capacity': {
      const current = Math.floor(Date.now() / 100)
      if (current !== tenth) [tenth, served] = [current, 0]
      return ++served <= now.perTenth ? 200 : 503
    }
  }
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  now: Behaviour,
  outcome: Entry['outcome'],
): Promise<void> {
  if (outcome === 'hang') return void request.resume()
  for await (const _ of request);
  if (now.kind === 'reset' && now.after === undefined) return void request.socket.resetAndDestroy()
  const body = 'a body of forty bytes, to be cut in two.\n'
  response.setHeader('content-length', body.length)
  if (now.kind === 'reset') {
    response.write(body.slice(0, 20))
    await sleep(50)
    request.socket.resetAndDestroy()
    return
  }
  if (now.kind === 'trickle') return trickle(response, body, now.pieces, now.pauseMs)
  if (now.kind === 'answer' && now.delayMs !== undefined) await sleep(now.delayMs)
  response.writeHead(Number(outcome), now.kind === 'answer' ? now.headers : undefined).end(body)
}

async function trickle(response: ServerResponse, body: string, pieces: number, pauseMs: number): Promise<void> {
  const size = Math.ceil(body.length / pieces)
  response.flushHeaders()
  for (let start = 0; start < body.length; start += size) {
    await sleep(pauseMs)
    response.write(body.slice(start, start + size))
  }
  response.end()
}

// Whoever started this has gone.
process.on('disconnect', () => process.exit())
process.on('message', (next: Behaviour) => {
  behaviour = next
  process.send!('changed')
})
server.on('clientError', (_, socket) => socket.destroy())
server.keepAliveTimeout = 60_000
server.listen(Number(port), '127.0.0.1', 4_096, () => process.send!(server.address()))
