import { expect, it } from 'vitest'
import { makeCachedGateway } from '../support/cached.ts'

/** Answers that change their minds about what shapes them, and requests that use it. */

const evil = { headers: { 'x-evil': 'mark' } }

it('does not let a 304 to an unkeyed header change what others get', async () => {
  const { get, pass } = makeCachedGateway({ key: { unkeyed: 'refuse' } }, ({ headers }) => {
    const link = { etag: '"1"', 'cache-control': 'public, max-age=10', link: headers.get('x-evil') ?? 'good' }
    if (headers.has('if-none-match')) return new Response(null, { status: 304, headers: link })
    return new Response('body', { headers: link })
  })
  await get('/a')
  pass(11_000)
  const his = await get('/a', evil)
  expect([his.text, his.response.headers.get('link')]).toEqual(['body', 'mark'])
  const clean = await get('/a')
  expect([clean.text, clean.response.headers.get('link')]).toEqual(['body', 'good'])
  // And it was kept, so that the next clean 304 finds it.
  expect(clean.status).toContain('fwd-status=304')
})

it.each(['x-evil', 'user-agent'])(
  'does not store for all what %s has shaped when Vary names it no more',
  async (name) => {
    const { get, pass } = makeCachedGateway({}, ({ headers, nth }) => {
      const vary: Record<string, string> = nth <= 2 && headers.get(name) !== 'mark' ? { vary: name } : {}
      const said = { etag: `"${nth}"`, 'cache-control': 'public, max-age=10', ...vary }
      return new Response(headers.get(name) ?? 'nobody', { headers: said })
    })
    await get('/a', { headers: { [name]: 'good' } })
    pass(11_000)
    const his = await get('/a', { headers: { [name]: 'mark' } })
    expect([his.text, his.status]).toEqual(['mark', expect.stringContaining('detail=vary-changed')])
    expect((await get('/a')).text).toBe('nobody')
  },
)

it('does not store for all what comes without Vary when it is asked again with what Vary named', async () => {
  const { get } = makeCachedGateway({ ttl: '1m' }, ({ headers, nth }) => {
    return new Response(headers.get('user-agent') ?? 'nobody', { headers: nth === 1 ? { vary: 'user-agent' } : {} })
  })
  expect((await get('/a', { headers: { 'user-agent': 'mark' } })).text).toBe('mark')
  expect((await get('/a')).text).toBe('nobody')
})

it('does not go on sharing what a 304 says to vary by something new', async () => {
  const { get, pass, asked } = makeCachedGateway({}, ({ headers }) => {
    const said = { etag: '"1"', 'cache-control': 'public, max-age=10' }
    if (headers.has('if-none-match')) return new Response(null, { status: 304, headers: { ...said, vary: 'x-theme' } })
    return new Response(headers.get('x-theme') ?? 'plain', { headers: said })
  })
  await get('/a')
  pass(11_000)
  expect((await get('/a')).status).toContain('fwd-status=304')
  expect((await get('/a')).status).toContain('fwd=miss')
  expect(asked).toHaveLength(3)
})

it('passes on requests with bytes that are no UTF-8, which would all look alike in a key', async () => {
  const { get } = makeCachedGateway(
    { ttl: '1m', key: { headers: ['x-tenant'] } },
    ({ nth }) => new Response(String(nth)),
  )
  // As the runtime reads `M\xfcller` and `M\xf6ller`.
  const opaque = { headers: { 'x-tenant': 'M\ufffdller' } }
  expect((await get('/a', opaque)).status).toContain('fwd=bypass')
  expect((await get('/a', opaque)).text).toBe('2')
})

it('does not store an answer whose fields are no UTF-8: what it has read of them is not what they say', async () => {
  const { get, asked } = makeCachedGateway({ ttl: '1m' }, () => new Response('a', { headers: { etag: '"\ufffd"' } }))
  expect((await get('/a')).status).toContain('detail=opaque-header')
  await get('/a')
  expect(asked).toHaveLength(2)
})

it.each(['EXAMPLE.com:80', 'example.com.', 'example.com.:80'])(
  'sends the origin the host as the key has it: %s',
  async (host) => {
    const { get, asked } = makeCachedGateway({ ttl: '1m' }, () => new Response('a'))
    await get(`/${host}`, { headers: { host } })
    expect(asked[0]!.headers.get('x-forwarded-host')).toBe('example.com')
    expect((await get(`/${host}`, { headers: { host: 'example.com' } })).status).toMatch(/^hit/)
  },
)

it('asks again for what was fetched in the future, before the clock stepped back', async () => {
  const { get, pass } = makeCachedGateway({ ttl: '1m' }, ({ nth }) => new Response(String(nth)))
  pass(3_600_000)
  await get('/a')
  expect((await get('/a')).text).toBe('1')
  pass(-3_600_000)
  expect((await get('/a')).text).toBe('2')
  expect((await get('/a')).text).toBe('2')
})

it('sends the origin what the route itself sets, whatever clients usually send under that name', async () => {
  const set = { 'User-Agent': 'umbral', 'CF-Access-Client-Id': 'me', 'X-Request-Id': '{request.id}' }
  const { get, asked } = makeCachedGateway({ ttl: '1m' }, () => new Response('a'), {
    policies: { headers: { request: { set } } },
  })
  expect((await get('/a', { headers: { 'user-agent': 'client' } })).status).toContain('stored')
  const { headers } = asked[0]!
  expect([headers.get('user-agent'), headers.get('cf-access-client-id')]).toEqual(['umbral', 'me'])
  expect(headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/)
})

it('forgets nothing, and goes on collapsing, when a client leaves while the origin is asked', async () => {
  const asked: boolean[] = []
  let hangs = true
  const { ask, settled, pass } = makeCachedGateway({}, () => new Response(), {
    platform: {
      fetch: async (_, { signal, headers } = {}) => {
        const isConditional = new Headers(headers).has('if-none-match')
        asked.push(isConditional)
        if (hangs) await new Promise((_answer, fail) => signal!.addEventListener('abort', () => fail(signal!.reason)))
        const said = { etag: '"1"', 'cache-control': 'public, max-age=10' }
        return new Response(isConditional ? null : 'body', { status: isConditional ? 304 : 200, headers: said })
      },
    },
  })
  const leave = async () => {
    hangs = true
    const [client, before] = [new AbortController(), asked.length]
    const leaving = ask('/a', { signal: client.signal })
    await expect.poll(() => asked.length).toBe(before + 1)
    client.abort()
    expect((await leaving).response.status).toBe(499)
    await settled()
    hangs = false
  }
  await leave()
  await Promise.all([ask('/a'), ask('/a'), ask('/a')])
  expect(asked).toEqual([false, false])
  await settled()
  pass(11_000)
  await leave()
  expect((await ask('/a')).text).toBe('body')
  expect(asked).toEqual([false, false, true, true])
})
