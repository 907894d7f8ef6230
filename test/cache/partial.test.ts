import fc from 'fast-check'
import { expect, it } from 'vitest'
import { makeCachedGateway, type OriginRequest } from '../support/cached.ts'

const BODY = '0123456789abcdef'

/** An origin that sends one range of `body()`, with If-Range. */
function ranged(body = () => BODY, headers: Record<string, string> = {}) {
  return ({ headers: asked }: OriginRequest) => {
    const bytes = body()
    const fields = { etag: `"${bytes}"`, 'cache-control': 'max-age=60', ...headers }
    const [, from, to] = /^bytes=(\d*)-(\d*)$/.exec(asked.get('range') ?? '') ?? []
    const condition = asked.get('if-range')
    if (from === undefined || (condition !== null && condition !== fields.etag)) {
      return new Response(bytes, { headers: { ...fields, 'content-length': String(bytes.length) } })
    }
    const first = from === '' ? bytes.length - Number(to) : Number(from)
    const last = from === '' || to === '' ? bytes.length - 1 : Math.min(Number(to), bytes.length - 1)
    const part = bytes.slice(first, last + 1)
    const range = `bytes ${first}-${last}/${bytes.length}`
    const own = { 'content-range': range, 'content-length': String(part.length) }
    return new Response(part, { status: 206, headers: { ...fields, ...own } })
  }
}
const range = (bytes: string, headers: Record<string, string> = {}) => ({
  headers: { range: `bytes=${bytes}`, ...headers },
})

it('stores a 206, and serves it and parts of it', async () => {
  const { get, asked } = makeCachedGateway({}, ranged())
  const first = await get('/a', range('2-7'))
  expect([first.response.status, first.text, first.status]).toEqual([206, '234567', 'fwd=miss; fwd-status=206; stored'])
  expect(first.response.headers.get('content-range')).toBe('bytes 2-7/16')
  for (const [bytes, text] of [
    ['2-7', '234567'],
    ['3-4', '34'],
    ['7-7', '7'],
  ] as const) {
    const part = await get('/a', range(bytes))
    expect([part.response.status, part.text, part.status]).toEqual([206, text, expect.stringMatching(/^hit/)])
    expect(part.response.headers.get('content-range')).toBe(`bytes ${bytes}/16`)
    expect(part.response.headers.get('content-length')).toBe(String(text.length))
  }
  expect((await get('/a', range('16-'))).response.status).toBe(416)
  expect(asked).toHaveLength(1)
})

it.each([
  ['its end', '0-7', 'bytes=8-15'],
  ['its beginning', '-4', 'bytes=0-11'],
])('completes a stored part that lacks %s for a request for the whole', async (_, stored, lacking) => {
  const { get, asked } = makeCachedGateway({}, ranged())
  await get('/a', range(stored))
  const whole = await get('/a')
  expect([whole.response.status, whole.text, whole.status]).toEqual([200, BODY, 'fwd=partial; fwd-status=206; stored'])
  expect(whole.response.headers.get('content-length')).toBe('16')
  expect(whole.response.headers.has('content-range')).toBe(false)
  expect([asked[1]!.headers.get('range'), asked[1]!.headers.get('if-range')]).toEqual([lacking, `"${BODY}"`])
  expect(await get('/a')).toMatchObject({ text: BODY, status: expect.stringMatching(/^hit/) })
  expect(asked).toHaveLength(2)
})

it('fetches the whole where the stored part lacks both ends', async () => {
  const { get, asked } = makeCachedGateway({}, ranged())
  await get('/a', range('4-7'))
  expect((await get('/a')).text).toBe(BODY)
  expect(asked[1]!.headers.has('range')).toBe(false)
})

it.each([
  ['after it', '0-3', '4-7', '1-6', '123456'],
  ['before it', '4-7', '0-3', '1-6', '123456'],
  ['over its end', '0-5', '3-9', '0-9', '0123456789'],
  ['over its beginning', '5-9', '3-7', '3-9', '3456789'],
  ['around it', '5-6', '3-9', '3-9', '3456789'],
])('extends a stored part by one %s', async (_, one, other, both, text) => {
  const { get, asked } = makeCachedGateway({}, ranged())
  await get('/a', range(one))
  expect((await get('/a', range(other))).status).toBe('fwd=partial; fwd-status=206; stored')
  const part = await get('/a', range(both))
  expect([part.response.status, part.text, part.status]).toEqual([206, text, expect.stringMatching(/^hit/)])
  expect(asked).toHaveLength(2)
})

it('serves the whole from parts that have become the whole', async () => {
  const { get, asked } = makeCachedGateway({}, ranged())
  await get('/a', range('0-7'))
  await get('/a', range('8-'))
  expect(await get('/a')).toMatchObject({ text: BODY, status: expect.stringMatching(/^hit/) })
  expect(asked).toHaveLength(2)
})

it('never combines parts of two versions', async () => {
  let body = BODY
  const { get } = makeCachedGateway(
    {},
    ranged(() => body),
  )
  await get('/a', range('0-7'))
  body = 'ABCDEFGHIJKLMNOP'
  expect((await get('/a', range('8-11'))).text).toBe('IJKL')
  expect((await get('/a', range('6-9'))).text).toBe('GHIJ')
  const whole = await get('/a')
  expect([whole.response.status, whole.text]).toEqual([200, body])
  await get('/b', range('0-7'))
  body = BODY
  expect((await get('/b')).text).toBe(body)
  expect((await get('/b')).status).toMatch(/^hit/)
})

it.each<[what: string, headers: Record<string, string>]>([
  ['no entity tag', { etag: '' }],
  ['a weak entity tag', { etag: 'W/"v"' }],
  ['a coding', { 'content-encoding': 'br' }],
  ['private', { 'cache-control': 'private, max-age=60' }],
  ['no lifetime', { 'cache-control': '' }],
  ['a cookie', { 'set-cookie': 'id=7' }],
])('stores no 206 with %s', async (_, headers) => {
  const { get, asked } = makeCachedGateway({}, ranged(undefined, headers))
  for (let i = 0; i < 2; i++) expect((await get('/a', range('2-7'))).status).toMatch(/^fwd=miss; fwd-status=206/)
  expect(asked).toHaveLength(2)
})

it('does not serve a part that is stale', async () => {
  const { get, asked, pass } = makeCachedGateway({}, ranged())
  await get('/a', range('0-7'))
  pass(61_000)
  expect((await get('/a', range('0-7'))).status).toBe('fwd=miss; fwd-status=206; stored')
  expect((await get('/a', range('0-7'))).status).toMatch(/^hit/)
  pass(61_000)
  expect((await get('/a')).text).toBe(BODY)
  expect(asked).toHaveLength(3)
})

it.each([{ 'if-range': '"x"' }, { 'if-none-match': '"x"' }, { 'cache-control': 'no-store' }, { cookie: 'id=7' }])(
  'stores no 206 to a request with %o',
  async (headers) => {
    const { get, asked } = makeCachedGateway({}, ranged())
    await get('/a', range('0-7', headers))
    expect((await get('/a', range('0-7'))).status).toMatch(/^fwd=miss/)
    expect(asked).toHaveLength(2)
  },
)

it('answers HEAD and only-if-cached by no part', async () => {
  const { get } = makeCachedGateway({}, ranged())
  await get('/a', range('0-7'))
  expect((await get('/a', { method: 'HEAD' })).status).toMatch(/^fwd=miss/)
  expect((await get('/a', { headers: { 'cache-control': 'only-if-cached' } })).response.status).toBe(504)
})

it('does not tell the origin of a range what the key does not cover', async () => {
  const { get, asked } = makeCachedGateway({}, ranged())
  await get('/a', range('0-7', { 'x-app': '7', 'user-agent': 'phone' }))
  expect([asked[0]!.headers.has('x-app'), asked[0]!.headers.has('user-agent')]).toEqual([false, false])
})

it('serves the bytes that were asked for, whatever was stored before', { timeout: 60_000 }, async () => {
  const place = fc.integer({ min: 0, max: BODY.length - 1 })
  const bounds = fc.tuple(place, place).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.option(bounds, { nil: undefined, freq: 5 }), { maxLength: 6 }), async (requests) => {
      const { get } = makeCachedGateway({ collapse: false }, ranged())
      for (const request of requests) {
        const [first, last] = request ?? [0, BODY.length - 1]
        const { response, text } = await get('/a', request && range(`${first}-${last}`))
        expect([response.status, text]).toEqual([request ? 206 : 200, BODY.slice(first, last + 1)])
      }
    }),
    { numRuns: 60 },
  )
})
