import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { startGateway, type RunningGateway } from '../support/gateway.ts'
import { listen, type Listening } from '../support/listen.ts'

const seen: string[] = []
let origin: Listening
let gateway: RunningGateway

/** Responds with the request. The first to `/dav/flaky` fails. */
async function respond(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const line = `${request.method} ${request.url} ${await text(request)}`
  const fails = request.url === '/dav/flaky' && !seen.includes(line)
  seen.push(line)
  const status = fails ? 503 : request.method === 'PROPFIND' ? 207 : 200
  response.writeHead(status, { 'cache-control': 'max-age=60' }).end(line)
}

beforeAll(async () => {
  const server = createServer((request, response) => void respond(request, response))
  origin = await listen(server)
  const retry = { attempts: 1, retryOn: ['gateway-error'], methods: ['PROPFIND'], backoff: { base: '1ms', max: '1ms' } }
  gateway = await startGateway({
    routes: {
      upstreams: { files: { targets: [{ url: origin.url }], retry } },
      routes: [
        {
          id: 'dav',
          match: { path: '/dav/*', methods: ['GET', 'PROPFIND', 'PROPPATCH', 'REPORT', 'QUERY'] },
          upstream: 'files',
          policies: {
            cors: { origins: ['https://app.test'], methods: ['GET', 'PROPFIND', 'MKCOL'], headers: ['depth'] },
            bodyLimit: { max: '1kb' },
            cache: {},
          },
        },
      ],
    },
  })
})
afterAll(async () => {
  await gateway.stop()
  await origin.stop()
})

const send = (method: string, path: string, body?: string) =>
  fetch(gateway.url + path, { method, ...(body !== undefined && { body }) })
const timesSeen = (line: string) => seen.filter((other) => other === line).length

it('passes on the status and the body, and logs the method', async () => {
  const response = await send('PROPFIND', '/dav/logged', '<propfind/>')
  expect([response.status, await response.text()]).toEqual([207, 'PROPFIND /dav/logged <propfind/>'])
  await vi.waitUntil(() =>
    gateway.logs().some(({ method, route, status }) => method === 'PROPFIND' && route === 'dav' && status === 207),
  )
})

it('repeats a PROPFIND with its body where retry.methods names it, and a REPORT not', async () => {
  expect((await send('PROPFIND', '/dav/flaky', 'p')).status).toBe(207)
  expect(timesSeen('PROPFIND /dav/flaky p')).toBe(2)
  expect((await send('REPORT', '/dav/flaky', 'r')).status).toBe(503)
})

it('limits a body', async () => {
  expect((await send('QUERY', '/dav/large', 'x'.repeat(2000))).status).toBe(413)
})

it('stores no response but those to GET, and invalidates by what is not safe', async () => {
  await (await send('GET', '/dav/stored')).text()
  for (const method of ['PROPFIND', 'REPORT', 'QUERY'])
    for (const _ of [1, 2])
      expect((await send(method, '/dav/stored', 'b')).headers.get('cache-status')).toMatch(/fwd=method/)
  expect(timesSeen('QUERY /dav/stored b')).toBe(2)
  const again = await send('GET', '/dav/stored')
  expect([again.headers.get('cache-status'), timesSeen('GET /dav/stored ')]).toEqual([expect.stringMatching(/hit/), 1])
  await send('PROPPATCH', '/dav/stored')
  await send('GET', '/dav/stored')
  expect(timesSeen('GET /dav/stored ')).toBe(2)
})

it.each([
  ['PROPFIND', 204],
  ['QUERY', 403],
  ['MKCOL', 403],
])('responds to a preflight for %s, which route and cors allow or not, with %i', async (method, status) => {
  const headers = {
    origin: 'https://app.test',
    'access-control-request-method': method,
    'access-control-request-headers': 'depth',
  }
  expect((await fetch(`${gateway.url}/dav/a`, { method: 'OPTIONS', headers })).status).toBe(status)
  expect(seen.filter((line) => line.startsWith('OPTIONS'))).toEqual([])
})
