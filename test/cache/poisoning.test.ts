import { expect, it } from 'vitest'
import { makeCachedGateway, type OriginRequest } from '../support/cached.ts'
import { HEADER_NAMES } from '../support/header-names.ts'

/** An origin that believes and repeats whatever it is told, and lets everybody keep it. */
const gullible = ({ url, headers }: OriginRequest) =>
  Response.json([url.search, [...headers]], { headers: { 'cache-control': 'public, max-age=600' } })

it('gives back none of 1,000 marked header fields to a clean request after them', { timeout: 60_000 }, async () => {
  expect(new Set(HEADER_NAMES).size).toBe(1_000)
  const { settled, ask } = makeCachedGateway({ collapse: false }, gullible)
  let marks = 0
  let sent = 0
  const markOf = (i: number) => `mark-${i}.evil.example`
  const poison = async (name: string, i: number) => {
    const { response } = await ask(`/page-${i}`, { headers: { [name]: markOf(i) } })
    // Refused at the door, or seen by the origin, or not even that.
    if (response.status === 200) sent++
  }
  const read = async (name: string, i: number) => {
    const { response, text } = await ask(`/page-${i}`)
    if (text.includes(markOf(i))) marks++
    expect([name, response.status]).toEqual([name, 200])
  }
  // An origin that says `public` allows to share what it says to a bearer of credentials (RFC 9111 §3.5).
  const names = HEADER_NAMES.filter((name) => name !== 'authorization')
  for (let i = 0; i < names.length; i += 20) {
    const some = names.slice(i, i + 20)
    await Promise.all(some.map((name, j) => poison(name, i + j)))
    await settled()
    await Promise.all(some.map((name, j) => read(name, i + j)))
  }
  await settled()
  expect(marks).toBe(0)
  expect(sent).toBeGreaterThan(950)
})

it('gives back none of what unkeyed query fields, methods, bodies and odd queries said', async () => {
  const { get } = makeCachedGateway({ key: { query: ['page'] } }, gullible)
  const spoiled = [
    '/a?page=1&utm=mark',
    '/a?utm=mark&page=1',
    '/a?mark&page=1',
    '/a?page=1&pa%67e2=mark',
    '/a?page=1&x=1;page=mark',
    '/a?page=1#mark',
  ]
  for (const path of spoiled) {
    await get(path)
    const clean = await get('/a?page=1')
    expect([path, clean.text.includes('mark')]).toEqual([path, false])
  }
  for (const page of ['mark', '1&page=mark', '1%26mark']) await get(`/a?page=${page}`)
  await get('/a?page=1', { method: 'POST', body: 'mark' })
  expect((await get('/a?page=1')).text).not.toContain('mark')
})

it('does not serve what it has stored for one host to another, nor for one path to another', async () => {
  const { get } = makeCachedGateway({ ttl: '1m' }, ({ url, headers }) => {
    return new Response(`${headers.get('x-forwarded-host')}${url.pathname}`)
  })
  await get('/a', { headers: { host: 'evil.example' } })
  expect((await get('/a', { headers: { host: 'good.example' } })).text).toBe('good.example/a')
  expect((await get('/a%3Fb', { headers: { host: 'good.example' } })).text).toBe('good.example/a%3Fb')
  expect((await get('/a/', { headers: { host: 'good.example' } })).text).toBe('good.example/a/')
  expect((await get('/A', { headers: { host: 'good.example' } })).text).toBe('good.example/A')
})

it('stores what a field has shaped that the origin names in Vary, for those alone who send the same', async () => {
  const { get } = makeCachedGateway({ ttl: '1m' }, ({ headers }) => {
    return new Response(headers.get('x-theme') ?? 'plain', { headers: { vary: 'x-theme' } })
  })
  const dark = { headers: { 'x-theme': 'dark' } }
  expect((await get('/a', dark)).status).toContain('stored')
  expect((await get('/a')).text).toBe('plain')
  const again = await get('/a', dark)
  expect([again.text, again.status]).toEqual(['dark', expect.stringMatching(/^hit/)])
})

it('asks again with a common field that it had withheld, when the origin varies by it', async () => {
  const { get, asked } = makeCachedGateway({ ttl: '1m' }, ({ headers }) => {
    return new Response(headers.get('user-agent') ?? 'nobody', { headers: { vary: 'User-Agent' } })
  })
  const phone = { headers: { 'user-agent': 'phone' } }
  expect((await get('/a', phone)).text).toBe('phone')
  expect(asked).toHaveLength(2)
  expect((await get('/a', { headers: { 'user-agent': 'desk' } })).text).toBe('desk')
  expect(asked).toHaveLength(3)
  expect((await get('/a', phone)).text).toBe('phone')
  expect(asked).toHaveLength(3)
})

it.each(['set-cookie', 'private', 'vary'])('never stores an answer with %s', async (kind) => {
  const headers = {
    'set-cookie': { 'set-cookie': 'id=7', 'cache-control': 'public, max-age=60' },
    private: { 'cache-control': 'Private, max-age=60' },
    vary: { vary: 'accept, *', 'cache-control': 'max-age=60' },
  }[kind]!
  const { get, asked } = makeCachedGateway({ ttl: '1m', override: true }, ({ nth }) => {
    return new Response(`answer ${nth}`, { headers: headers as Record<string, string> })
  })
  await get('/a')
  expect((await get('/a')).text).toBe('answer 2')
  expect(asked).toHaveLength(2)
})

/** Web cache deception: a private answer under a path that looks like a public file. */
it.each([
  '/me/x.css',
  '/me%2Ecss',
  '/me;.js',
  '/me/%2e%2e/x.png',
  '/me?x=.css',
  '/me.css',
  '/me/..%3b/x.js',
  '//me/x.ico',
])('does not make a private answer public by its path: %s', async (path) => {
  const { get } = makeCachedGateway({}, ({ headers }) => new Response(`secret of ${headers.get('cookie')}`))
  await get(path, { headers: { cookie: 'victim' } })
  const thief = await get(path)
  expect(thief.text).not.toContain('victim')
})

it('does not keep with a ttl either what a cookie or a bearer token has shaped', async () => {
  const { get } = makeCachedGateway({ ttl: '1h', override: true }, ({ headers }) => {
    return new Response(`secret of ${headers.get('cookie') ?? headers.get('authorization')}`)
  })
  for (const name of ['cookie', 'authorization']) {
    const own = await get(`/me/${name}`, { headers: { [name]: 'victim' } })
    expect([own.text, own.status]).toEqual([
      'secret of victim',
      expect.stringMatching(/detail=(unkeyed-header|authorization)$/),
    ])
    expect((await get(`/me/${name}`)).text).toBe('secret of null')
  }
})
