import { expect, it } from 'vitest'
import { platformPurges } from '../../src/cache/purge/purge-feed.ts'
import { ownCacheState } from '../support/cache-state.ts'
import { makeCachedGateway, type OriginRequest } from '../support/cached.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestPlatform } from '../support/platform.ts'

/** RFC 9111 §4.3.5. */
const heading = (head: Record<string, string>) =>
  makeCachedGateway({}, ({ method, nth }: OriginRequest) => {
    const life = { etag: '"a"', 'cache-control': 'max-age=60', 'x-nth': String(nth) }
    return method === 'HEAD'
      ? new Response(null, { headers: { ...life, ...head } })
      : new Response(`body ${nth}`, { headers: life })
  })

it('a 200 to HEAD about the same content makes the stored GET fresh again, with its fields', async () => {
  const { get, asked, pass } = heading({ 'content-type': 'text/new' })
  await get('/a')
  pass(61_000)
  expect((await get('/a', { method: 'HEAD' })).status).toBe('fwd=stale; fwd-status=200')
  const again = await get('/a')
  expect([again.text, again.status]).toEqual(['body 1', expect.stringMatching(/^hit/)])
  expect(again.response.headers.get('content-type')).toBe('text/new')
  expect(asked).toHaveLength(2)
})

it('a 200 to HEAD about other content, or one that forbids to store it, ends what is stored', async () => {
  for (const head of [{ etag: '"b"' }, { 'cache-control': 'no-store' }]) {
    const { get, asked, pass } = heading(head)
    await get('/a')
    pass(61_000)
    await get('/a', { method: 'HEAD' })
    expect((await get('/a')).text).toBe('body 3')
    expect(asked[2]!.headers.has('if-none-match')).toBe(false)
  }
})

it('a 304 to HEAD makes the stored GET fresh again', async () => {
  const { get, asked, pass } = makeCachedGateway({}, ({ headers }) => {
    const life = { etag: '"a"', 'cache-control': 'max-age=60' }
    return headers.has('if-none-match')
      ? new Response(null, { status: 304, headers: life })
      : new Response('body', { headers: life })
  })
  await get('/a')
  pass(61_000)
  expect((await get('/a', { method: 'HEAD' })).status).toBe('fwd=stale; fwd-status=304; stored')
  const again = await get('/a')
  expect([again.text, again.status]).toEqual(['body', expect.stringMatching(/^hit/)])
  expect(asked).toHaveLength(2)
})

it('a HEAD with a field that is in no key changes nothing for others', async () => {
  const { get, pass } = heading({ 'x-echo': 'mark' })
  await get('/a')
  pass(61_000)
  await get('/a', { method: 'HEAD', headers: { cookie: 'mark' } })
  const again = await get('/a')
  expect([again.response.headers.get('x-echo'), again.text]).toEqual([null, 'body 3'])
})

it('the stale time after a soft purge runs from the purge, whoever looks in between', async () => {
  const cacheState = ownCacheState()
  let isDown = false
  const cache = { ttl: '1h', staleWhileRevalidate: '20s', collapse: false }
  const answer = () => (isDown ? new Response('down', { status: 503 }) : new Response('good'))
  const { get, pass } = makeCachedGateway(cache, answer, { platform: { cacheCoordinators: cacheState } })
  await get('/a')
  expect((await get('/a')).status).toMatch(/^hit; ttl=3\d+/)
  isDown = true
  const elsewhere = platformPurges(makeTestPlatform({ cacheCoordinators: cacheState }))
  expect(await elsewhere.purge([{ kind: 'all', value: '', mode: 'soft' }], makeTestExchange())).toBe(true)
  pass(8_000)
  expect(await get('/a')).toMatchObject({ text: 'good', status: expect.stringMatching(/^hit; ttl=-(?:8|9|1\d);/) })
  pass(15_000)
  expect(await get('/a')).toMatchObject({ text: 'down', status: expect.stringMatching(/^fwd=stale; fwd-status=503/) })
})
