import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as passed } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { request } from 'undici'
import { afterEach, expect, test } from 'vitest'
import { startGateway, type RunningGateway } from '../support/gateway.ts'
import { listen } from '../support/listen.ts'

const stops: (() => Promise<unknown>)[] = []
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()))
})

interface Scene {
  readonly gateways: readonly RunningGateway[]
  /** Paths that the origin was asked for. */
  readonly asked: string[]
}

/** Gateways as users run them, before one origin; with `redis`, they share it. */
async function start(
  answer: (request: IncomingMessage, response: ServerResponse) => unknown,
  {
    processes = 1,
    redis = false,
    cache = {},
    upstream = {},
  }: { processes?: number; redis?: boolean; cache?: object; upstream?: object } = {},
): Promise<Scene> {
  const asked: string[] = []
  const origin = await listen(
    createServer((request, response) => {
      asked.push(request.url!)
      void answer(request, response)
    }),
  )
  stops.push(origin.stop)
  let env: Record<string, string> = {}
  if (redis) {
    env = await startRedis()
  }
  const routes = {
    upstreams: { shop: { targets: [{ url: origin.url }], timeout: '10s', ...upstream } },
    routes: [{ id: 'all', match: { path: '/*' }, upstream: 'shop', policies: { cache: { ttl: '1m', ...cache } } }],
  }
  const gateways = []
  for (let i = 0; i < processes; i++) {
    const gateway = await startGateway({ routes, env })
    stops.push(gateway.kill)
    gateways.push(gateway)
  }
  return { gateways, asked }
}

/** In a process of its own: this one is busy with both ends of every request. */
async function startRedis(): Promise<Record<string, string>> {
  const child = spawn(process.execPath, ['dev/upstash/main.ts'], { stdio: ['ignore', 'pipe', 'inherit'] })
  stops.push(async () => {
    const ended = once(child, 'exit')
    child.kill('SIGTERM')
    await ended
  })
  const env: Record<string, string> = {}
  for await (const line of createInterface({ input: child.stdout })) {
    const [name, value] = line.split(/=(.*)/)
    env[name!] = value!
    if (name === 'UPSTASH_REDIS_REST_TOKEN') break
  }
  return env
}

const get = async (url: string, init?: RequestInit) => {
  const response = await fetch(url, init)
  return { response, text: await response.text(), status: response.headers.get('cache-status') ?? '' }
}

test.for([
  [1, false],
  [2, true],
] as const)('200 misses together are one request to the origin: %i process(es)', async ([processes, redis]) => {
  const everybodyIsThere = Promise.withResolvers<void>()
  const slow = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.url === '/hot') await everybodyIsThere.promise
    response.end('x'.repeat(50_000))
  }
  const { gateways, asked } = await start(slow, { processes, redis })
  for (const { url } of gateways) await metItsStores(url)
  asked.length = 0
  // One host, as behind one load balancer: it is part of every key.
  const host = `127.0.0.1:${gateways[0]!.port}`
  const answers = []
  // A few at a time: Redis has 100 ms for each, on a machine that also runs everything else here.
  for (let i = 0; i < 200; i++) {
    answers.push(getAs(gateways[i % gateways.length]!.port, host, '/hot'))
    if (i % 10 === 9) await passed(60)
  }
  await passed(200)
  everybodyIsThere.resolve()
  const got = await Promise.all(answers)
  expect(asked).toEqual(['/hot'])
  expect(new Set(got.map(({ text }) => text.length))).toEqual(new Set([50_000]))
  expect(got.filter(({ status }) => status.includes('collapsed')).length).toBe(199)
})

test.for([
  [1, 2],
  // Those who led in vain ask too, and one, then four more go on.
  [3, 8],
] as const)('when the first %i of those who wait reset their connections, others ask for all', async ([left, most]) => {
  const everybodyIsThere = Promise.withResolvers<void>()
  const { gateways, asked } = await start(async (request, response) => {
    if (request.url === '/hot') await everybodyIsThere.promise
    response.end('x')
  })
  const { url, port } = gateways[0]!
  await metItsStores(url)
  asked.length = 0
  const leaving = []
  for (let i = 0; i < left; i++) {
    const one = connect(port, '127.0.0.1')
    one.write(`GET /hot HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`)
    leaving.push(one)
    await passed(100)
  }
  await expect.poll(() => asked).toHaveLength(1)
  const answers = Array.from({ length: 30 }, () => getAs(port, `127.0.0.1:${port}`, '/hot'))
  await passed(300)
  for (const one of leaving.toReversed()) one.resetAndDestroy()
  await expect.poll(() => asked.length, { timeout: 3_000 }).toBeGreaterThan(1)
  await passed(300)
  everybodyIsThere.resolve()
  const got = await Promise.all(answers)
  expect(asked.length).toBeLessThanOrEqual(most)
  expect(got.filter(({ status }) => status.includes('collapsed')).length).toBeGreaterThanOrEqual(31 - most)
})

/** A gateway that has just started, on a machine that is busy, may find its stores too slow at first. */
async function metItsStores(url: string): Promise<void> {
  for (let i = 0; i < 50; i++) {
    if (/; hit/.test((await get(`${url}/warm`)).status)) return
    await passed(100)
  }
  throw new Error('the gateway never answered from its store')
}

/** fetch sets Host itself. */
async function getAs(port: number, host: string, path: string): Promise<{ text: string; status: string }> {
  const { body, headers } = await request(`http://127.0.0.1:${port}${path}`, { headers: { host } })
  return { text: await body.text(), status: String(headers['cache-status']) }
}

test('a body that breaks off or is shorter than it says reaches its client as broken, and is never stored', async () => {
  const { gateways, asked } = await start((request, response) => {
    response.writeHead(200, { 'content-length': '10000', 'cache-control': 'max-age=60' })
    response.write('half')
    setTimeout(() => response.destroy(), 30)
    request.resume()
  })
  const url = `${gateways[0]!.url}/broken`
  for (let i = 0; i < 3; i++) await expect(get(url)).rejects.toThrow()
  expect(asked).toHaveLength(3)
})

test.for([{}, { idleTimeout: '5s' }])(
  'compressed bytes stay as the origin sent them, wherever they come from: %o',
  async (upstream) => {
    const text = 'zip '.repeat(5_000)
    // In a way in which nobody on the way would compress it.
    const zipped = gzipSync(text, { level: 0 })
    const { gateways, asked } = await start(
      (request, response) => {
        if (request.url === '/warm' || !/gzip/.test(String(request.headers['accept-encoding'])))
          return response.end(text)
        const fields = { 'content-encoding': 'gzip', vary: 'Accept-Encoding', etag: '"z"' }
        if (request.headers['if-none-match'] === '"z"') return response.writeHead(304, fields).end()
        return response.writeHead(200, { ...fields, 'content-length': zipped.length }).end(zipped)
      },
      { processes: 2, redis: true, upstream },
    )
    for (const { url } of gateways) await metItsStores(url)
    asked.length = 0
    const host = `127.0.0.1:${gateways[0]!.port}`
    const ask = async (nth: number, headers: Record<string, string> = {}, method: 'GET' | 'HEAD' = 'GET') => {
      const all = { host, 'accept-encoding': 'br;q=0, gzip', ...headers }
      const answer = await request(`http://127.0.0.1:${gateways[nth]!.port}/z`, { method, headers: all })
      const { 'content-encoding': coding, 'content-length': length, 'cache-status': said } = answer.headers
      const bytes = Buffer.from(await answer.body.arrayBuffer())
      return { status: answer.statusCode, coding, length: Number(length), said: String(said), bytes }
    }
    const whole = { status: 200, coding: 'gzip', bytes: zipped }
    expect(await ask(0)).toMatchObject({ ...whole, said: expect.stringContaining('fwd=miss') })
    const hit = { ...whole, length: zipped.length }
    await expect.poll(() => ask(0)).toMatchObject({ ...hit, said: expect.stringContaining('detail=edge') })
    await expect.poll(() => ask(1)).toMatchObject({ ...hit, said: expect.stringContaining('umbral; hit') })
    expect(asked).toEqual(['/z'])
    for (const nth of [0, 1]) {
      expect(await ask(nth, {}, 'HEAD')).toMatchObject({ ...hit, bytes: Buffer.alloc(0) })
      expect(await ask(nth, { range: 'bytes=100-20000' })).toMatchObject({
        status: 206,
        coding: 'gzip',
        length: 19_901,
        bytes: zipped.subarray(100, 20_001),
      })
      expect(await ask(nth, { 'if-none-match': '"z"' })).toMatchObject({ status: 304, bytes: Buffer.alloc(0) })
    }
    expect(asked).toEqual(['/z'])
    const confirmed = await ask(0, { 'cache-control': 'no-cache' })
    expect(confirmed).toMatchObject({ ...whole, said: expect.stringContaining('fwd-status=304') })
    expect(await ask(0, { 'accept-encoding': 'identity' })).toMatchObject({
      coding: undefined,
      bytes: Buffer.from(text),
    })
    expect(asked).toEqual(['/z', '/z', '/z'])
  },
)

test('a stored answer stands in for an origin that is gone', async () => {
  let alive = true
  const { gateways } = await start(
    (request, response) => (alive ? response.end('good') : request.socket.resetAndDestroy()),
    { cache: { ttl: '1s', staleIfError: '1m' } },
  )
  const url = `${gateways[0]!.url}/a`
  await get(url)
  alive = false
  await passed(1_100)
  const saved = await get(url)
  expect([saved.text, saved.status]).toEqual(['good', expect.stringContaining('fwd-status=502')])
  expect(Number(saved.response.headers.get('age'))).toBeGreaterThanOrEqual(1)
})

test('a client that leaves in the middle leaves nothing half behind', async () => {
  const { gateways, asked } = await start(async (_, response) => {
    response.writeHead(200, { 'content-length': String(400_000) })
    for (let i = 0; i < 4; i++) {
      response.write('x'.repeat(100_000))
      await passed(40)
    }
    response.end()
  })
  const url = `${gateways[0]!.url}/long`
  const leaving = new AbortController()
  const { body } = await fetch(url, { signal: leaving.signal })
  await body!.getReader().read()
  leaving.abort()
  const whole = await get(url)
  expect(whole.text).toHaveLength(400_000)
  expect(asked.length).toBeLessThanOrEqual(2)
})
