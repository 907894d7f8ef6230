import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { misused, readArguments, readPort } from './arguments.ts'

/** A service for trying a routes file: its responses describe the requests that it received. */
const USAGE = `Usage: npm run origin -- PORT…

Responds to every request on these ports of 127.0.0.1 with its method, target, headers and body. Ctrl-C ends it.
  /status/503   responds with that status
  /delay/2000   responds after that many milliseconds`

const MAX_DELAY_MS = 600_000

const { positionals } = readArguments(USAGE, { allowPositionals: true, options: {} })
if (positionals.length === 0) misused(USAGE, 'expected a port, such as 9101')
for (const port of positionals.map((text) => readPort(USAGE, text, 1))) serve(port)

function serve(port: number): void {
  const server = createServer((request, response) => {
    handle(port, request, response).catch(() => response.destroy())
  })
  server.on('error', (error: NodeJS.ErrnoException) => {
    console.error(error.code === 'EADDRINUSE' ? `Port ${port} is taken` : error.message)
    process.exit(1)
  })
  server.listen(port, '127.0.0.1', () => console.log(`Origin at http://127.0.0.1:${port}`))
}

async function handle(port: number, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk as string
  const { method, url: target = '/', headers } = request
  // The gateway may have put a prefix before the path.
  const [, command, value] = /\/(status|delay)\/(\d+)/.exec(target) ?? []
  if (command === 'delay') await new Promise((resolve) => setTimeout(resolve, Math.min(Number(value), MAX_DELAY_MS)))
  const requested = command === 'status' ? Number(value) : 200
  const status = requested >= 200 && requested <= 599 ? requested : 200
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify({ port, method, target, headers, body }, null, 2)}\n`)
}
