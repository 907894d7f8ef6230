import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { misused, readArguments, readPort } from './arguments.ts'

/** A service to try a routes file with: it answers every request with what it got of it. */
const USAGE = `Usage: npm run origin -- PORT…

Answers every request on these ports of 127.0.0.1 with what it got: method, target, headers, body. Ctrl-C ends it.
  /status/503   answers with that status
  /delay/2000   answers after that many milliseconds`

const LONGEST_DELAY_MS = 600_000

const { positionals } = readArguments(USAGE, { allowPositionals: true, options: {} })
if (positionals.length === 0) misused(USAGE, 'expected a port, such as 9101')
for (const port of positionals.map((text) => readPort(USAGE, text, 1))) serve(port)

function serve(port: number): void {
  const server = createServer((request, response) => {
    answer(port, request, response).catch(() => response.destroy())
  })
  server.on('error', (error: NodeJS.ErrnoException) => {
    console.error(error.code === 'EADDRINUSE' ? `Port ${port} is taken` : error.message)
    process.exit(1)
  })
  server.listen(port, '127.0.0.1', () => console.log(`Origin at http://127.0.0.1:${port}`))
}

async function answer(port: number, request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk as string
  const { method, url: target = '/', headers } = request
  // Also behind a prefix: what the gateway put in front is of no concern here.
  const [, verb, value] = /\/(status|delay)\/(\d+)/.exec(target) ?? []
  if (verb === 'delay') await new Promise((passed) => setTimeout(passed, Math.min(Number(value), LONGEST_DELAY_MS)))
  const asked = verb === 'status' ? Number(value) : 200
  const status = asked >= 200 && asked <= 599 ? asked : 200
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(`${JSON.stringify({ port, method, target, headers, body }, null, 2)}\n`)
}
