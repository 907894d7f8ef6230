import { expect, it } from 'vitest'
import { makeCachedGateway } from '../support/cached.ts'

const ALLOWING = ['public, max-age=60', 's-maxage=60', 'max-age=60, must-revalidate']

it.each(ALLOWING)('stores an answer to Authorization whose origin says %s', async (said) => {
  const { get, asked, pass } = makeCachedGateway({}, ({ headers, nth }) => {
    const fields = { 'cache-control': said, etag: '"v"' }
    if (headers.has('if-none-match')) return new Response(null, { status: 304, headers: fields })
    return new Response(`answer ${nth}`, { headers: fields })
  })
  const bearer = { headers: { authorization: 'Bearer a' } }
  expect((await get('/a', bearer)).status).toContain('stored')
  expect((await get('/a', bearer)).text).toBe('answer 1')
  expect((await get('/a')).text).toBe('answer 1')
  expect(asked.map(({ headers }) => headers.get('authorization'))).toEqual(['Bearer a'])
  // A 304 to such a request makes it fresh again for all.
  pass(61_000)
  expect((await get('/a', bearer)).status).toBe('fwd=stale; fwd-status=304; stored')
  expect((await get('/a')).status).toMatch(/^hit/)
  expect(asked).toHaveLength(2)
})

it.each(['max-age=60', 'private, must-revalidate, max-age=60', 'no-store, public', 's-maxage=x, max-age=60'])(
  'does not store an answer to Authorization whose origin says %s',
  async (said) => {
    const { get, asked } = makeCachedGateway({}, () => new Response('a', { headers: { 'cache-control': said } }))
    for (let i = 0; i < 2; i++) expect((await get('/a', { headers: { authorization: 'x' } })).status).toContain('fwd=')
    expect(asked).toHaveLength(2)
  },
)

it('a cookie beside Authorization keeps the answer from being stored', async () => {
  const { get } = makeCachedGateway({}, () => new Response('a', { headers: { 'cache-control': 'public, max-age=60' } }))
  const answer = await get('/a', { headers: { authorization: 'x', cookie: 'id=7' } })
  expect(answer.status).toContain('detail=unkeyed-header')
})

it('refreshes behind the answer with the Authorization of its request', async () => {
  const { get, asked, pass } = makeCachedGateway({ collapse: false }, ({ headers, nth }) => {
    if (!headers.has('authorization')) return new Response('who?', { status: 401 })
    return new Response(`answer ${nth}`, {
      headers: { 'cache-control': 'public, max-age=10, stale-while-revalidate=60' },
    })
  })
  const bearer = { headers: { authorization: 'Bearer a' } }
  await get('/a', bearer)
  pass(20_000)
  expect((await get('/a', bearer)).text).toBe('answer 1')
  expect((await get('/a')).text).toBe('answer 2')
  expect(asked).toHaveLength(2)
})
