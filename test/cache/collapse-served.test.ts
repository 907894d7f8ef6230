import { env } from 'cloudflare:workers'
import { beforeAll, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { problem } from '../../src/core/problem.ts'
import { cache } from '../../src/policies/cache.ts'
import { makeCachedGateway } from '../support/cached.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'

// The first object loads the module, which takes its time here.
beforeAll(async () => void (await env.CACHE_STATE.getByName('first').join('key')))

const TOO_LARGE = 9 * 1024 ** 2

const together = <T>(count: number, one: (nth: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, nth) => one(nth)))
const collapsed = (answers: readonly { status: string }[]) =>
  answers.filter(({ status }) => status.includes('collapsed')).length

const slowly = async (body: BodyInit | null, headers: Record<string, string> = {}) => {
  await new Promise((passed) => setTimeout(passed, 50))
  return new Response(body, { headers })
}

it('what expires as soon as it was stored is fetched anew once for all who come together', async () => {
  const { ask, get, asked, pass } = makeCachedGateway({ ttl: '1m' }, ({ nth }) => slowly(String(nth)))
  await get('/a')
  pass(61_000)
  const answers = await together(30, () => ask('/a'))
  expect([asked.length, collapsed(answers)]).toEqual([2, 29])
  expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(['2']))
})

it('what is of no use twice is not waited for again', async () => {
  const { ask, get, asked, pass } = makeCachedGateway({ ttl: '1m' }, ({ nth }) =>
    slowly(String(nth), { 'cache-control': nth === 1 ? 'max-age=60' : 'max-age=0', etag: `"${nth}"` }),
  )
  await get('/a')
  pass(61_000)
  await together(5, () => ask('/a'))
  expect(asked).toHaveLength(6)
})

it('each variant is fetched once for all who come together', async () => {
  const { ask, asked } = makeCachedGateway({ ttl: '1m', key: { headers: [] } }, ({ headers }) =>
    slowly(headers.get('accept-language'), { vary: 'accept-language' }),
  )
  const language = (nth: number) => (nth % 2 ? 'de' : 'en')
  const answers = await together(30, (nth) => ask('/a', { headers: { 'accept-language': language(nth) } }))
  expect(answers.map(({ text }) => text)).toEqual(answers.map((_, nth) => language(nth)))
  // The first does not know yet that the origin wants to hear the language.
  expect([asked.length, collapsed(answers)]).toEqual([3, 28])
})

it.each([
  ['a head', 'a', { 'x-long': 'x'.repeat(17_000) }],
  ['a body that says so', new Uint8Array(TOO_LARGE), { 'content-length': String(TOO_LARGE) }],
])('%s that is too large is not said to be stored, and nobody waits for it again', async (_, body, headers) => {
  const { ask, get, asked } = makeCachedGateway({ ttl: '1m' }, () => slowly(body, headers))
  expect((await get('/a')).status).toBe('fwd=miss; fwd-status=200; detail=too-large')
  const answers = await together(5, () => ask('/a'))
  expect([asked.length, collapsed(answers)]).toEqual([6, 0])
})

it('nobody waits again for a body that has turned out to be too large', async () => {
  let waiting = 0
  let most = 0
  const { ask, get } = makeCachedGateway({ ttl: '1m' }, async () => {
    most = Math.max(most, ++waiting)
    const answer = await slowly(new Blob([new Uint8Array(TOO_LARGE)]).stream())
    waiting--
    return answer
  })
  await get('/a')
  most = 0
  await together(4, () => ask('/a'))
  expect(most).toBe(4)
})

/** A body that begins at once and has no end; and the time until its first bytes reach the second of two subscribers. */
async function secondSubscriber(headers: Record<string, string>): Promise<number> {
  const { gateway, asked } = makeCachedGateway({ ttl: '1m' }, () => {
    const body = new ReadableStream({ start: (stream) => stream.enqueue(new TextEncoder().encode('one')) })
    return new Response(body, { headers })
  })
  const url = `https://${crypto.randomUUID()}.test/a`
  const subscribe = async () => {
    const { body } = await gateway.fetch(url)
    const reader = body!.getReader()
    await reader.read()
    return reader
  }
  const first = await subscribe()
  const since = Date.now()
  const second = await subscribe()
  const waited = Date.now() - since
  expect(asked).toHaveLength(2)
  await Promise.all([first.cancel(), second.cancel()])
  return waited
}

it.each([
  'text/event-stream',
  'Text/Event-Stream; charset=utf-8',
  'application/x-ndjson',
  'application/ndjson',
  'application/jsonl',
  'application/json-seq',
  'application/geo+json-seq',
  'application/stream+json',
  'multipart/x-mixed-replace; boundary=frame',
  'application/grpc-web+proto',
  'application/grpc-web-text',
])('nobody waits for a body of type %s, which has no end', async (type) => {
  expect(await secondSubscriber({ 'content-type': type })).toBeLessThan(500)
})

it('nobody waits for a body that the origin wants not to be buffered', async () => {
  expect(await secondSubscriber({ 'content-type': 'text/plain', 'x-accel-buffering': 'no' })).toBeLessThan(500)
})

it('a body whose end does not come soon after its headers is waited for no longer than that', async () => {
  expect(await secondSubscriber({ 'content-type': 'text/plain' })).toBeLessThan(2_000)
})

it.each(['text/event-stream', 'application/x-ndjson'])('a %s with a length has an end, and is stored', async (type) => {
  const headers = { 'content-type': type, 'content-length': '3' }
  const { get } = makeCachedGateway({ ttl: '1m' }, () => new Response('one', { headers }))
  await get('/a')
  expect((await get('/a')).status).toMatch(/^hit/)
})

it("a refresh that brings the gateway's own word leaves what is stored", async () => {
  let ahead = 0
  const platform = makeTestPlatform({
    variable: (name) => ({ LOG_LEVEL: 'silent' })[name],
    now: () => Date.now() + ahead,
  })
  const config = z.parse(cache.config, { ttl: '10s', staleWhileRevalidate: '1m', collapse: false })
  let asked = 0
  const serve = cache.compile(
    config,
    platform,
    makeTestFacts({ upstream: 'shop' }),
  )(() => Promise.resolve(asked++ === 0 ? new Response('good') : problem('client-gone')))
  const get = async () => {
    const x = makeTestExchange(new Request('https://gw.test/refreshed'))
    const text = await (await serve(x)).text()
    await x.settled()
    return text
  }
  await get()
  ahead = 20_000
  await expect.poll(async () => [await get(), asked > 1]).toEqual(['good', true])
  expect(await get()).toBe('good')
})
