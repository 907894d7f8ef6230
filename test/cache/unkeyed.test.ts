import { SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { makeCachedGateway, type OriginRequest } from '../support/cached.ts'

const FRESH = { 'cache-control': 'max-age=60' }
const told =
  (name: string, headers: Record<string, string> = FRESH) =>
  (request: OriginRequest) =>
    new Response(request.headers.get(name) ?? 'nothing', { headers })
const sending = (name: string, value: string) => ({ headers: { [name]: value } })

describe('unkeyed "strip", the default', () => {
  it.each(['x-app-version', 'x-request-source', 'x-forwarded-by', 'x_original_url', 'cookie2', 'last-event-id'])(
    'does not tell the origin %s, and stores the answer',
    async (name) => {
      const { get, asked } = makeCachedGateway({}, told(name))
      const first = await get('/a', sending(name, '7'))
      expect([first.text, first.status]).toEqual(['nothing', 'fwd=miss; fwd-status=200; stored'])
      expect((await get('/a', sending(name, '8'))).status).toMatch(/^hit/)
      expect(asked).toHaveLength(1)
    },
  )

  it('tells the origin what its Vary names, and keeps the answers apart', async () => {
    const { get, asked } = makeCachedGateway({}, told('x-theme', { ...FRESH, vary: 'X-Theme' }))
    const ask = async (theme: string) => (await get('/a', sending('x-theme', theme))).text
    expect([await ask('dark'), await ask('light'), await ask('dark'), await ask('light')]).toEqual([
      'dark',
      'light',
      'dark',
      'light',
    ])
    // The first time the origin is asked without the field.
    expect(asked).toHaveLength(3)
    expect((await get('/a')).text).toBe('nothing')
  })

  it('tells the origin what `forward` lists, and stores the answer', async () => {
    const { get, asked } = makeCachedGateway({ key: { forward: ['X-Request-Id', 'x-app'] } }, told('x-app'))
    const both = { headers: { 'x-app': '7', 'x-request-id': 'r1' } }
    expect((await get('/a', both)).text).toBe('7')
    expect(asked[0]!.headers.get('x-request-id')).toBe('r1')
    expect((await get('/a')).status).toMatch(/^hit/)
  })

  it.each(['cookie', 'authorization'])('tells the origin %s, and does not store the answer', async (name) => {
    const { get } = makeCachedGateway({}, told(name))
    expect((await get('/a', sending(name, 'id=7'))).text).toBe('id=7')
    expect((await get('/a')).text).toBe('nothing')
  })

  it('stores what varies by a cookie for those alone who send the same', async () => {
    const { get, asked } = makeCachedGateway({}, told('cookie', { ...FRESH, vary: 'Cookie' }))
    const as = async (cookie: string) => (await get('/a', sending('cookie', cookie))).text
    expect([await as('a=1'), await as('a=2'), await as('a=1')]).toEqual(['a=1', 'a=2', 'a=1'])
    expect(asked).toHaveLength(2)
  })

  it('leaves what the gateway sets, also where the client sends the same field', async () => {
    const policies = { headers: { request: { set: { 'x-set': 'edge' }, add: { 'x-add': 'edge' } } } }
    const { get, asked } = makeCachedGateway({}, told('x-set'), { policies })
    const answer = await get('/a', { headers: { 'x-set': 'evil', 'x-add': 'mine' } })
    expect([asked[0]!.headers.get('x-set'), asked[0]!.headers.get('x-add')]).toEqual(['edge', 'mine, edge'])
    // What the client has added to is not for others.
    expect(answer.status).toContain('detail=unkeyed-header')
    expect((await get('/a')).status).toContain('stored')
  })

  it('leaves the identity that the gateway tells, also where the client forges it', async () => {
    const secret = 's'.repeat(32)
    const main = { type: 'jwt', issuer: 'i', audience: 'api', algorithms: ['HS256'], secret: { $secret: 'KEY' } }
    const { get, asked } = makeCachedGateway({ key: { identity: 'sub' } }, told('x-auth-subject'), {
      authProviders: { main },
      policies: { auth: { providers: ['main'] } },
      platform: { secret: () => secret },
    })
    const token = await new SignJWT({ aud: 'api', iss: 'i', sub: 'caller' })
      .setProtectedHeader({ alg: 'HS256' })
      .setExpirationTime('1h')
      .sign(new TextEncoder().encode(secret))
    const forged = { headers: { authorization: `Bearer ${token}`, 'x-auth-subject': 'caller' } }
    expect((await get('/a', forged)).status).toContain('stored')
    expect(asked[0]!.headers.get('x-auth-subject')).toBe('caller')
  })

  it('asks on condition without what it strips', async () => {
    const { get, asked, pass } = makeCachedGateway({}, ({ headers }) =>
      headers.has('if-none-match')
        ? new Response(null, { status: 304, headers: { ...FRESH, etag: '"v"' } })
        : new Response('body', { headers: { ...FRESH, etag: '"v"' } }),
    )
    await get('/a', sending('x-app', '1'))
    pass(61_000)
    expect((await get('/a', sending('x-app', '2'))).status).toBe('fwd=stale; fwd-status=304; stored')
    expect(asked[1]!.headers.has('x-app')).toBe(false)
  })
})

describe('unkeyed "refuse"', () => {
  const key = { unkeyed: 'refuse' }

  it('tells the origin every unknown header, and does not store the answer', async () => {
    const { get } = makeCachedGateway({ key }, told('x-app'))
    const answer = await get('/a', sending('x-app', '7'))
    expect([answer.text, answer.status]).toEqual(['7', 'fwd=miss; fwd-status=200; detail=unkeyed-header'])
    expect((await get('/a')).text).toBe('nothing')
  })

  it('does not tell the origin what browsers send of themselves, and stores the answer', async () => {
    const { get } = makeCachedGateway({ key }, told('user-agent'))
    const answer = await get('/a', sending('user-agent', 'phone'))
    expect([answer.text, answer.status]).toEqual(['nothing', expect.stringContaining('stored')])
  })

  it('stores the answer to a header that `forward` lists', async () => {
    const { get } = makeCachedGateway({ key: { ...key, forward: ['x-app'] } }, told('x-app'))
    expect((await get('/a', sending('x-app', '7'))).status).toContain('stored')
  })
})

describe('unkeyed "trust"', () => {
  const key = { unkeyed: 'trust' }

  it.each(['x-app', 'user-agent', 'cookie', 'sec-fetch-mode', 'x-request-id'])(
    'tells the origin %s, and stores the answer',
    async (name) => {
      const { get, asked } = makeCachedGateway({ key }, told(name))
      expect((await get('/a', sending(name, '7'))).text).toBe('7')
      expect((await get('/a')).status).toMatch(/^hit/)
      expect(asked).toHaveLength(1)
    },
  )

  it('keeps apart what Vary names', async () => {
    const { get, asked } = makeCachedGateway({ key }, told('user-agent', { ...FRESH, vary: 'user-agent' }))
    const as = async (agent: string) => (await get('/a', sending('user-agent', agent))).text
    expect([await as('a'), await as('b'), await as('a'), await as('b')]).toEqual(['a', 'b', 'a', 'b'])
    expect(asked).toHaveLength(2)
  })

  it('stores no answer to Authorization that the origin does not allow to share', async () => {
    const { get } = makeCachedGateway({ key }, told('authorization'))
    expect((await get('/a', sending('authorization', 'x'))).status).toContain('detail=authorization')
    expect((await get('/a')).text).toBe('nothing')
  })
})
