import { createServer } from 'node:http'
import { afterEach, expect, test } from 'vitest'
import { startGateway } from '../support/gateway.ts'
import { listen } from '../support/listen.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()))
})

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
