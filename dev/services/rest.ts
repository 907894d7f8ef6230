import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { injectFaults, NO_FAULTS, parseFaults, type Faults } from './faults.ts'

/** One record of a demo service. */
export type Row = Readonly<Record<string, unknown> & { id: number }>

/** What a demo service serves under `/<collection>`. */
export interface Collection {
  readonly name: string
  readonly rows: Row[]
  /** The query fields that filter the list by the column of the same name. */
  readonly filters: readonly string[]
  /** The new row of a POST body, without its id; a string is the message of an invalid body. Without it POST is refused. */
  readonly create?: (body: unknown, request: IncomingMessage) => Record<string, unknown> | string
}

const MAX_BODY_BYTES = 1_048_576

/**
 * Serves one collection from memory on a loopback port: list with filters and paging (`page`, `limit`), get by id,
 * create when the collection has it, `/health`, and `/__faults` (see faults.ts). `name` identifies a replica of a service.
 */
export function serveCollection(collection: Collection, name: string, port: number): Server {
  let faults: Faults = NO_FAULTS
  const server = createServer((request, response) => void handle(request, response).catch(() => response.destroy()))

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://service')
    response.setHeader('x-served-by', name)
    const attempt = request.headers['x-attempt']
    if (attempt !== undefined) response.setHeader('x-attempt', attempt)
    if (url.pathname === '/__faults') return control(request, response)
    if (await injectFaults(faults, url.searchParams, request, response)) return
    if (url.pathname === '/health') return send(response, 200, { status: 'healthy' })
    const [, root, id, ...rest] = url.pathname.split('/')
    if (root !== collection.name || rest.length > 0)
      return refuse(response, 404, `There is nothing at ${url.pathname}.`)
    if (id !== undefined) return one(collection, id, request, response)
    if (request.method === 'POST' && collection.create) return create(collection, request, response)
    if (!isRead(request)) return refuse(response, 405, `${request.method} is not possible here.`)
    return list(collection, url.searchParams, response)
  }

  async function control(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method === 'DELETE') faults = NO_FAULTS
    if (request.method === 'PUT') {
      const next = parseFaults(await readJson(request), faults)
      if (typeof next === 'string') return refuse(response, 400, next)
      faults = next
    }
    send(response, 200, faults)
  }

  return server.listen(port, '127.0.0.1')
}

const isRead = (request: IncomingMessage) => request.method === 'GET' || request.method === 'HEAD'

function list({ rows, filters }: Collection, query: URLSearchParams, response: ServerResponse): void {
  const page = Number(query.get('page') ?? 1)
  const limit = Number(query.get('limit') ?? 20)
  if (!Number.isInteger(page) || page < 1) return refuse(response, 400, 'page: expected a whole number from 1.')
  if (!Number.isInteger(limit) || limit < 1 || limit > 100)
    return refuse(response, 400, 'limit: expected a whole number from 1 to 100.')
  const present = filters.filter((name) => query.has(name))
  const found = rows.filter((row) => present.every((name) => String(row[name]) === query.get(name)))
  send(response, 200, { items: found.slice((page - 1) * limit, page * limit), page, limit, total: found.length })
}

function one({ rows, name }: Collection, id: string, request: IncomingMessage, response: ServerResponse): void {
  if (!isRead(request)) return refuse(response, 405, `${request.method} is not possible here.`)
  if (!/^[1-9]\d{0,8}$/.test(id)) return refuse(response, 400, `${name}: expected a number for the id.`)
  const row = rows[Number(id) - 1]
  return row ? send(response, 200, row) : refuse(response, 404, `${name} ${id} does not exist.`)
}

async function create({ rows, name, create }: Collection, request: IncomingMessage, response: ServerResponse) {
  const fields = create!(await readJson(request), request)
  if (typeof fields === 'string') return refuse(response, 400, fields)
  const row = { id: rows.length + 1, ...fields }
  rows.push(row)
  response.setHeader('location', `/${name}/${row.id}`)
  send(response, 201, row)
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk as string
    if (text.length > MAX_BODY_BYTES) return undefined
  }
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  const error = { 400: 'bad-request', 404: 'not-found', 405: 'method-not-allowed' }[status]
  send(response, status, { error, message })
}

function send(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(body))
}

/** The port and the name of the replica from the command line: `node users.ts 9101 users-1`. */
export function commandLine(): [name: string, port: number] {
  const [, , port = '0', name = 'service'] = process.argv
  return [name, Number(port)]
}
