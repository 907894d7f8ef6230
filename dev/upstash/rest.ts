import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { RedisError, type Redis, type Reply } from './resp.ts'
import { makeScriptTranslator } from './scripts.ts'

type Encoded = string | number | null | Encoded[]
type Outcome = { result: Encoded } | { error: string }
type RestResponse = readonly [status: number, body: Outcome | Outcome[]]

/** Commands that change or block the one connection that all callers share. */
const REFUSED = new Set(
  'MULTI EXEC DISCARD WATCH UNWATCH SUBSCRIBE PSUBSCRIBE SSUBSCRIBE MONITOR SELECT AUTH HELLO RESET QUIT SHUTDOWN SYNC PSYNC CLIENT BLPOP BRPOP BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP BRPOPLPUSH WAIT'.split(
    ' ',
  ),
)

/**
 * Upstash's REST protocol (https://upstash.com/docs/redis/features/restapi) over `redis`: `/`, `/pipeline` and `/multi-exec`.
 * Commands in the path, RESP2 responses and event streams are not served.
 */
export function makeRestListener(redis: Redis, token: string): RequestListener {
  const translate = makeScriptTranslator()
  return (request, response) => {
    handle(request, redis, token, translate)
      .catch((): RestResponse => [500, { error: 'ERR the connection to Redis is lost' }])
      .then(([status, body]) => send(response, status, body))
      .catch(() => response.destroy())
  }
}

function send(response: ServerResponse, status: number, body: Outcome | Outcome[]): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

async function handle(
  request: IncomingMessage,
  redis: Redis,
  token: string,
  translate: ReturnType<typeof makeScriptTranslator>,
): Promise<RestResponse> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  if (request.headers.authorization !== `Bearer ${token}`)
    return [401, { error: 'WRONGPASS invalid or missing auth token' }]
  if (request.method !== 'POST') return [405, { error: 'ERR method not allowed; use POST' }]
  const body = parseJson(Buffer.concat(chunks).toString('utf8'))
  const base64 = request.headers['upstash-encoding'] === 'base64'
  switch (request.url ?? '') {
    case '/': {
      const [command, error] = parseCommand(body)
      return error === undefined ? single(await redis.send([translate(command)]), base64) : [400, { error }]
    }
    case '/pipeline':
    case '/multi-exec': {
      const [commands, error] = parseCommands(body)
      if (error !== undefined) return [400, { error }]
      const translated = commands.map(translate)
      return request.url === '/pipeline'
        ? [200, (await redis.send(translated)).map((reply) => outcome(reply, base64))]
        : transaction(await redis.send([['MULTI'], ...translated, ['EXEC']]), base64)
    }
    default:
      return [400, { error: 'ERR expected the path /, /pipeline or /multi-exec' }]
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

type Parsed<T> = [value: T, error: undefined] | [value: undefined, error: string]

function parseCommand(body: unknown): Parsed<string[]> {
  if (!Array.isArray(body) || body.length === 0)
    return [undefined, 'ERR expected a JSON array: a command and its arguments']
  if (!body.every((part) => ['string', 'number', 'boolean'].includes(typeof part)))
    return [undefined, 'ERR expected strings, numbers and booleans in a command']
  const command = body.map(String)
  const name = command[0]!.toUpperCase()
  return REFUSED.has(name) ? [undefined, `ERR Command is not available: '${name}'`] : [command, undefined]
}

function parseCommands(body: unknown): Parsed<string[][]> {
  if (!Array.isArray(body) || body.length === 0) return [undefined, 'ERR expected a JSON array of commands']
  const commands: string[][] = []
  for (const item of body) {
    const [command, error] = parseCommand(item)
    if (error !== undefined) return [undefined, error]
    commands.push(command)
  }
  return [commands, undefined]
}

function single(replies: readonly Reply[], base64: boolean): RestResponse {
  const body = outcome(replies[0]!, base64)
  return ['error' in body ? 400 : 200, body]
}

/** EXEC's replies. When a command was refused before EXEC, nothing was run, and the error is the first refusal. */
function transaction(replies: readonly Reply[], base64: boolean): RestResponse {
  const executed = replies.at(-1)!
  if (Array.isArray(executed)) return [200, executed.map((reply) => outcome(reply, base64))]
  const refusal = replies.find((reply) => reply instanceof RedisError)
  return [400, { error: refusal?.message ?? 'EXECABORT Transaction discarded' }]
}

function outcome(reply: Reply, base64: boolean): Outcome {
  return reply instanceof RedisError ? { error: reply.message } : { result: encode(reply, base64) }
}

/** With `base64` every string except `OK` is encoded. */
function encode(reply: Reply, base64: boolean): Encoded {
  if (Array.isArray(reply)) return reply.map((item) => encode(item, base64))
  if (reply instanceof RedisError) return reply.message
  if (reply === null || typeof reply === 'number' || reply === 'OK') return reply
  return Buffer.from(reply).toString(base64 ? 'base64' : 'utf8')
}
