import { expect, it } from 'vitest'
import { makeCachedGateway } from '../support/cached.ts'

const BODY = '0123456789abcdef'
const whole =
  (headers: Record<string, string> = {}) =>
  () =>
    new Response(BODY, { headers: { 'content-length': '16', etag: '"v"', 'cache-control': 'max-age=60', ...headers } })
const accepting = (coding: string, headers: Record<string, string> = {}) => ({
  headers: { 'accept-encoding': coding, ...headers },
})

it.each([
  ['gzip, br', 'identity'],
  ['identity', 'gzip'],
  ['gzip', 'br'],
  ['gzip', ''],
])(
  'serves a range from a stored answer: fetched with Accept-Encoding "%s", the range with "%s"',
  async (first, then) => {
    const { get, asked } = makeCachedGateway({}, whole())
    await get('/a', accepting(first))
    const part = await get('/a', accepting(then, { range: 'bytes=2-5' }))
    expect([part.response.status, part.text, part.status]).toEqual([206, '2345', expect.stringMatching(/^hit/)])
    expect(asked).toHaveLength(1)
  },
)

it('serves the whole of an uncoded answer to a client that accepts no coding', async () => {
  const { get, asked } = makeCachedGateway({}, whole())
  await get('/a', accepting('gzip'))
  expect((await get('/a', accepting('identity'))).status).toMatch(/^hit/)
  expect(asked).toHaveLength(1)
})

it('asks for a coded answer where the stored one was fetched for a client that accepts no coding', async () => {
  const { get, asked } = makeCachedGateway({}, whole())
  await get('/a', accepting('identity'))
  expect((await get('/a', accepting('gzip'))).status).toMatch(/^fwd=.*stored$/)
  expect(asked).toHaveLength(2)
  for (const coding of ['identity', 'gzip', 'GZIP;q=0.5']) {
    expect((await get('/a', accepting(coding))).status).toMatch(/^hit/)
  }
})

it.each<[what: string, headers: Record<string, string>]>([
  ['is coded, without a Vary', { 'content-encoding': 'gzip' }],
  ['varies by Accept-Encoding', { vary: 'Accept-Encoding' }],
])('serves no range of an answer that %s to a client that accepts another coding', async (_, headers) => {
  const { get, asked } = makeCachedGateway({}, whole(headers))
  await get('/a', accepting('gzip'))
  expect((await get('/a', accepting('identity', { range: 'bytes=2-5' }))).status).toMatch(/^fwd=/)
  expect((await get('/a', accepting('identity'))).status).toMatch(/^fwd=/)
  expect((await get('/a', accepting('gzip', { range: 'bytes=2-5' }))).status).toMatch(/^hit/)
  expect(asked).toHaveLength(3)
})

it('serves no range of the variant of another client', async () => {
  const { get } = makeCachedGateway({ key: { headers: [] } }, whole({ vary: 'Accept-Language' }))
  await get('/a', { headers: { 'accept-language': 'de', 'accept-encoding': 'gzip' } })
  const part = await get('/a', { headers: { 'accept-language': 'en', range: 'bytes=2-5' } })
  expect(part.status).toMatch(/^fwd=/)
})

it('a coded answer and an uncoded one are stored beside each other', async () => {
  const { get, asked } = makeCachedGateway({}, ({ headers }) => {
    const isCoded = headers.get('accept-encoding') === 'gzip'
    return new Response(isCoded ? 'coded' : 'plain', {
      headers: { 'cache-control': 'max-age=60', ...(isCoded && { 'content-encoding': 'gzip' }) },
      encodeBody: 'manual',
    })
  })
  const coding = async (accepted: string) =>
    (await get('/a', accepting(accepted))).response.headers.get('content-encoding')
  await coding('gzip')
  await coding('identity')
  expect([await coding('gzip'), await coding('identity')]).toEqual(['gzip', null])
  expect(asked).toHaveLength(2)
})
