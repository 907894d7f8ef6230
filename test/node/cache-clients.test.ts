import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { startGateway } from '../support/gateway.ts'
import { listen } from '../support/listen.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()))
})

const FILM = Buffer.from(Array.from({ length: 1_000_000 }, (_, i) => (i * 31 + (i >> 8)) % 256))

function sendFilm({ headers }: IncomingMessage, response: ServerResponse): void {
  const fields = { 'cache-control': 'max-age=60', etag: '"film"' }
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '') ?? []
  if (from === undefined) {
    response.writeHead(200, { ...fields, 'content-length': FILM.length }).end(FILM)
    return
  }
  const part = FILM.subarray(Number(from), Number(to) + 1)
  const range = { 'content-range': `bytes ${from}-${to}/${FILM.length}`, 'content-length': part.length }
  response.writeHead(206, { ...fields, ...range }).end(part)
}

/** A gateway with a cached route; `responses` counts those of its origin. */
async function start(): Promise<{ url: string; responses: () => number }> {
  let count = 0
  const origin = await listen(
    createServer((request, response) => {
      count++
      if (request.url === '/events') {
        response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: one\n\n')
        return
      }
      if (request.url === '/film') return sendFilm(request, response)
      response.writeHead(200, { 'cache-control': 'max-age=60', 'content-length': '16' }).end('0123456789abcdef')
    }),
  )
  stops.push(origin.stop)
  const gateway = await startGateway({
    routes: {
      upstreams: { shop: { targets: [{ url: origin.url }] } },
      routes: [{ id: 'all', match: { path: '/*' }, upstream: 'shop', policies: { cache: { ttl: '60s' } } }],
    },
  })
  stops.push(gateway.kill)
  return { url: gateway.url, responses: () => count }
}

const get = async (url: string, headers: Record<string, string>) => {
  const response = await fetch(url, { headers })
  return { code: response.status, text: await response.text(), status: response.headers.get('cache-status') ?? '' }
}

test('clients that send headers of their own share an answer, and ranges of it', async () => {
  const { url, responses } = await start()
  const one = { 'x-app-version': '7', 'accept-language': 'en, de' }
  expect((await get(`${url}/a`, one)).status).toContain('stored')
  await expect.poll(async () => (await get(`${url}/a`, one)).status).toContain('umbral; hit')
  const before = responses()
  const other = { 'x-app-version': '8', 'accept-language': 'DE,en' }
  expect((await get(`${url}/a`, other)).status).toContain('umbral; hit')
  // fetch adds `Accept-Encoding: identity` to a range.
  const part = await get(`${url}/a`, { ...other, range: 'bytes=0-9' })
  expect(part).toEqual({ code: 206, text: '0123456789', status: expect.stringContaining('umbral; hit') })
  expect(responses()).toBe(before)
})

test('ranges are stored, and complete each other', async () => {
  const { url, responses } = await start()
  const ask = async (range?: string) => {
    // As fetch sends it with a range: a client that accepts a coding gets the whole from the origin.
    const headers = { 'accept-encoding': 'identity', ...(range !== undefined && { range: `bytes=${range}` }) }
    const response = await fetch(`${url}/film`, { headers })
    const bytes = Buffer.from(await response.arrayBuffer())
    return { code: response.status, bytes, status: response.headers.get('cache-status')! }
  }
  const stored = async (range?: string) => expect.poll(async () => (await ask(range)).status).toContain('umbral; hit')
  expect(await ask('0-299999')).toMatchObject({ code: 206, bytes: FILM.subarray(0, 300_000) })
  await stored('0-299999')
  const second = await ask('300000-599999')
  expect(second).toMatchObject({ code: 206, bytes: FILM.subarray(300_000, 600_000) })
  expect(second.status).toContain('fwd=partial; fwd-status=206; stored')
  await stored('100000-500000')
  expect((await ask('100000-500000')).bytes.equals(FILM.subarray(100_000, 500_001))).toBe(true)
  const before = responses()
  const whole = await ask()
  expect([whole.code, whole.bytes.equals(FILM)]).toEqual([200, true])
  expect(whole.status).toContain('fwd=partial; fwd-status=206; stored')
  await stored()
  expect((await ask()).bytes.equals(FILM)).toBe(true)
  expect(responses()).toBe(before + 1)
})

test('subscribers of one event stream do not wait for each other', async () => {
  const { url } = await start()
  const leaving = new AbortController()
  const subscribe = async () => {
    const since = Date.now()
    const { body } = await fetch(`${url}/events`, { signal: leaving.signal })
    await body!.getReader().read()
    return Date.now() - since
  }
  await subscribe()
  expect(await subscribe()).toBeLessThan(1_000)
  leaving.abort()
})
