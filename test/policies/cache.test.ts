import { expect, it } from 'vitest'
import * as z from 'zod/mini'
import { cacheCounters } from '../../src/cache/route-cache.ts'
import { cache } from '../../src/policies/cache.ts'
import { makeCachedGateway } from '../support/cached.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'

const counting = (headers: Record<string, string>) => {
  let nth = 0
  return () => new Response(`answer ${++nth}`, { headers: { 'content-length': '8', ...headers } })
}

it('answers the second request from the store, with its age, and a third after its life from the origin', async () => {
  const { get, asked, pass } = makeCachedGateway({}, counting({ 'cache-control': 'max-age=60' }))
  const first = await get('/a')
  expect(first.text).toBe('answer 1')
  expect(first.status).toBe('fwd=miss; fwd-status=200; stored')
  pass(5_000)
  const second = await get('/a')
  expect(second.text).toBe('answer 1')
  expect(second.status).toMatch(/^hit; ttl=5\d; detail=edge$/)
  expect(Number(second.response.headers.get('age'))).toBeGreaterThanOrEqual(5)
  pass(60_000)
  const third = await get('/a')
  expect(third.text).toBe('answer 2')
  expect(third.status).toContain('fwd=')
  expect(asked).toHaveLength(2)
})

it('uses the ttl of the route where the origin says nothing, and not where it says something', async () => {
  const silent = makeCachedGateway({ ttl: '1m' }, counting({}))
  await silent.get('/a')
  expect((await silent.get('/a')).text).toBe('answer 1')
  const speaking = makeCachedGateway({ ttl: '1m' }, counting({ 'cache-control': 'no-store' }))
  await speaking.get('/a')
  const second = await speaking.get('/a')
  expect(second.text).toBe('answer 2')
  expect(second.status).toContain('detail=no-store')
})

it('confirms what is stale by a conditional request, and keeps its body', async () => {
  const { get, asked, pass } = makeCachedGateway({}, ({ headers }) =>
    headers.get('if-none-match') === '"v1"'
      ? new Response(null, { status: 304, headers: { etag: '"v1"', 'cache-control': 'max-age=60' } })
      : new Response('body', { headers: { etag: '"v1"', 'cache-control': 'max-age=60' } }),
  )
  await get('/a')
  pass(61_000)
  const confirmed = await get('/a')
  expect([confirmed.text, confirmed.status]).toEqual(['body', 'fwd=stale; fwd-status=304; stored'])
  expect((await get('/a')).status).toMatch(/^hit/)
  expect(asked).toHaveLength(2)
})

it('serves stale while it revalidates behind the answer', async () => {
  // Collapsed, the refresh would wait until the store's clock, which is not moved here, is past the answer's first fetch.
  const cache = { ttl: '10s', staleWhileRevalidate: '1m', collapse: false }
  const { get, asked, pass } = makeCachedGateway(cache, counting({}))
  await get('/a')
  pass(20_000)
  const stale = await get('/a')
  expect(stale.text).toBe('answer 1')
  expect(stale.status).toMatch(/^hit; ttl=-/)
  expect(asked).toHaveLength(2)
  expect((await get('/a')).text).toBe('answer 2')
  expect(asked).toHaveLength(2)
})

it('serves stale if the origin fails, and its failure when nothing may stand in for it', async () => {
  let broken = false
  const { get, pass } = makeCachedGateway({ ttl: '10s', staleIfError: '1m' }, () =>
    broken ? new Response('sorry', { status: 503 }) : new Response('good'),
  )
  await get('/a')
  broken = true
  pass(20_000)
  const saved = await get('/a')
  expect([saved.response.status, saved.text]).toEqual([200, 'good'])
  expect(saved.status).toMatch(/^fwd=stale; fwd-status=503; ttl=-\d+; detail=stale-if-error$/)
  pass(120_000)
  expect((await get('/a')).response.status).toBe(503)
})

it('answers HEAD, conditions and one range from a stored GET', async () => {
  const { get, asked } = makeCachedGateway({ ttl: '1m' }, () => {
    return new Response('0123456789', { headers: { etag: '"v"', 'content-length': '10' } })
  })
  await get('/a')
  const head = await get('/a', { method: 'HEAD' })
  expect([head.response.status, head.text, head.status]).toEqual([200, '', expect.stringMatching(/^hit/)])
  const same = await get('/a', { headers: { 'if-none-match': '"v"' } })
  expect([same.response.status, same.text, same.response.headers.get('etag')]).toEqual([304, '', '"v"'])
  const part = await get('/a', { headers: { range: 'bytes=2-4' } })
  expect([part.response.status, part.text]).toEqual([206, '234'])
  expect(part.response.headers.get('content-range')).toBe('bytes 2-4/10')
  const beyond = await get('/a', { headers: { range: 'bytes=20-' } })
  expect(beyond.response.status).toBe(416)
  expect(asked).toHaveLength(1)
})

it('answers 304 to a condition that what it has just fetched fulfils', async () => {
  const { get, asked } = makeCachedGateway({ ttl: '1m' }, () => new Response('x', { headers: { etag: '"v"' } }))
  const first = await get('/a', { headers: { 'if-none-match': '"v"' } })
  expect(first.response.status).toBe(304)
  expect(asked[0]!.headers.has('if-none-match')).toBe(false)
  expect((await get('/a')).text).toBe('x')
  expect(asked).toHaveLength(1)
})

it('neither a HEAD nor a range that misses leaves anything for a GET', async () => {
  const { get, asked } = makeCachedGateway({ ttl: '1m' }, ({ method, headers }) => {
    if (method === 'HEAD') return new Response(null, { headers: { 'content-length': '4' } })
    if (headers.has('range')) return new Response('b', { status: 206, headers: { 'content-range': 'bytes 1-1/4' } })
    return new Response('body')
  })
  await get('/a', { method: 'HEAD' })
  expect((await get('/a', { headers: { range: 'bytes=1-1' } })).response.status).toBe(206)
  expect((await get('/a')).text).toBe('body')
  expect(asked).toHaveLength(3)
})

it('answers only-if-cached with 504 when there is nothing', async () => {
  const { get, asked } = makeCachedGateway({ ttl: '1m' }, counting({}))
  const headers = { 'cache-control': 'only-if-cached' }
  const none = await get('/a', { headers })
  expect([none.response.status, none.status]).toEqual([504, 'fwd=miss'])
  await get('/a')
  expect((await get('/a', { headers })).text).toBe('answer 1')
  expect(asked).toHaveLength(1)
})

it('forgets what an unsafe method has changed', async () => {
  let version = 1
  const { get } = makeCachedGateway({ ttl: '1m' }, ({ method }) => {
    if (method === 'PUT') version++
    return new Response(`v${version}`)
  })
  expect((await get('/a?x=1')).text).toBe('v1')
  const put = await get('/a', { method: 'PUT', body: 'x' })
  expect(put.status).toBe('fwd=method; fwd-status=200')
  expect((await get('/a?x=1')).text).toBe('v2')
})

it('tells apart what Vary names', async () => {
  const { get, asked } = makeCachedGateway({ ttl: '1m', key: { headers: [] } }, ({ headers }) => {
    return new Response(headers.get('accept-language') ?? 'none', { headers: { vary: 'Accept-Language' } })
  })
  const ask = async (language: string) => (await get('/a', { headers: { 'accept-language': language } })).text
  expect([
    await ask('de'),
    await ask('en'),
    await ask('fr'),
    await ask('de'),
    await ask('en'),
    await ask('fr'),
  ]).toEqual(['de', 'en', 'fr', 'de', 'en', 'fr'])
  const before = asked.length
  expect([await ask('fr'), await ask('de')]).toEqual(['fr', 'de'])
  expect(asked.length).toBe(before)
})

it.each([{}, { headers: [] }])('compares Accept-Language without case, order and spaces: key %j', async (key) => {
  const { get, asked } = makeCachedGateway({ ttl: '1m', key }, ({ headers }) => {
    return new Response(headers.get('accept-language') ?? 'none', { headers: { vary: 'Accept-Language' } })
  })
  const ask = async (language: string) => (await get('/a', { headers: { 'accept-language': language } })).text
  const first = await ask('en-GB, de;q=0.7')
  const before = asked.length
  expect([await ask('de;q=0.7,en-gb'), await ask('EN-gb ,DE; q=0.7')]).toEqual([first, first])
  expect(asked).toHaveLength(before)
  expect(await ask('de, en-gb;q=0.7')).not.toBe(first)
})

it('sends the origin only the named query fields, and tells answers apart by them in any order', async () => {
  const policies = { rewrite: { query: { set: { src: 'edge' } } } }
  const { get, asked } = makeCachedGateway({ ttl: '1m', key: { query: ['page', 'size'] } }, counting({}), { policies })
  await get('/a?utm=1&size=2&page=1&src=evil')
  expect(asked[0]!.url.search).toBe('?size=2&page=1&src=edge')
  expect((await get('/a?page=1&size=2&utm=9')).text).toBe('answer 1')
  expect((await get('/a?page=2&size=2')).text).toBe('answer 2')
})

it('asks the origin once for requests that come together', async () => {
  const { ask, settled, asked } = makeCachedGateway({ ttl: '1m' }, async ({ nth }) => {
    await new Promise((passed) => setTimeout(passed, 50))
    return new Response(`answer ${nth}`)
  })
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask('/a')))
  await settled()
  expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(['answer 1']))
  expect(asked).toHaveLength(1)
  expect(answers.filter(({ status }) => status.includes('collapsed'))).toHaveLength(19)
})

it('counts, by route, what came from the store and what that has saved', async () => {
  const platform = makeTestPlatform({ variable: (name) => ({ LOG_LEVEL: 'silent' })[name] })
  const x = makeTestExchange(new Request('https://gw.test/counted'))
  const layer = cache.compile(z.parse(cache.config, { ttl: '1m' }), platform, makeTestFacts({ upstream: 'shop' }))
  const serve = layer(() => Promise.resolve(new Response('12345678', { headers: { 'content-length': '8' } })))
  for (let i = 0; i < 3; i++) {
    const one = makeTestExchange(x.request)
    await (await serve(one)).text()
    await one.settled()
  }
  expect(cacheCounters.all(platform)).toMatchObject({
    test: { hits: 2, misses: 1, stored: 1, bytesSaved: 16, bypassed: 0 },
  })
})
