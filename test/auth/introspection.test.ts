import { describe, expect, it } from 'vitest'
import { authProvider } from '../../src/auth/config/auth-provider.ts'
import type { Platform } from '../../src/core/platform.ts'
import { makeTestPlatform } from '../support/platform.ts'
import { makeGate } from './gate.ts'

const URL_OF = 'https://id.test/introspect'
const SECRET = 'p:ss wörd'

/** A route whose provider asks an issuer that answers as `issuer.answer` says. */
function setup(fields: Record<string, unknown> = {}, platform: Partial<Platform> = {}) {
  const issuer = {
    now: Math.floor(Date.now() / 1000) * 1000,
    calls: [] as { url: string; init: RequestInit }[],
    answer: (): Response | Promise<Response> => Response.json({ active: true, sub: 'ada', scope: 'a b', roles: ['x'] }),
  }
  const opaque = authProvider.parse({
    type: 'introspection',
    url: URL_OF,
    clientId: 'gw',
    clientSecret: { $secret: 'S' },
    ...fields,
  })
  const gate = makeGate(
    makeTestPlatform({
      authProviders: { opaque },
      secret: () => SECRET,
      now: () => issuer.now,
      fetch: async (url, init = {}) => {
        issuer.calls.push({ url, init })
        return issuer.answer()
      },
      ...platform,
    }),
  )
  const answering = (answer: unknown) => (issuer.answer = () => Response.json(answer))
  return { issuer, answering, gate, send: (token: string) => gate(`Bearer ${token}`) }
}

describe('introspection', () => {
  it('asks the issuer who is calling, once', async () => {
    const { issuer, send } = setup()
    for (let i = 0; i < 3; i++) {
      const { status, x } = await send('opaque-token')
      expect(status).toBe(200)
      expect(x.identity).toMatchObject({
        provider: 'opaque',
        issuer: 'https://id.test',
        subject: 'ada',
        scopes: ['a', 'b'],
        roles: ['x'],
      })
    }
    expect(issuer.calls).toHaveLength(1)
    const [{ url, init }] = issuer.calls as [{ url: string; init: RequestInit }]
    expect(url).toBe(URL_OF)
    expect(init).toMatchObject({ method: 'POST', redirect: 'manual' })
    expect(new URLSearchParams(init.body as URLSearchParams).get('token')).toBe('opaque-token')
    const { authorization } = init.headers as { authorization: string }
    expect(atob(authorization.replace('Basic ', ''))).toBe('gw:p%3Ass+w%C3%B6rd')
  })

  it.each([
    ['token-inactive', { active: false }],
    ['token-inactive', {}],
    ['token-inactive', { active: 'true' }],
    ['token-inactive', { active: 1 }],
    ['token-claims', { active: true, sub: 7 }],
    ['token-claims', { active: true, iss: ['https://id.test'] }],
    ['token-claims', { active: true, exp: '9999999999' }],
    ['token-claims', { active: true, token_type: 'refresh_token' }],
    ['token-claims', { active: true, token_type: 'DPoP' }],
    ['token-expired', { active: true, exp: 1 }],
    ['token-not-yet-valid', { active: true, nbf: 2 ** 33 }],
  ])('%s: %j', async (code, answer) => {
    const { answering, send } = setup()
    answering(answer)
    const passage = await send('t')
    expect(passage).toMatchObject({ code, status: 401 })
    expect(passage.response.headers.get('www-authenticate')).toContain('error="invalid_token"')
  })

  it('holds the answer to issuer and audience where the provider names them', async () => {
    const { answering, send } = setup({ issuer: 'https://id.test/', audience: 'api' })
    const good = { active: true, iss: 'https://id.test/', aud: ['other', 'api'] }
    let token = 0
    const codeOf = async (answer: object) => {
      answering(answer)
      return (await send(`t${token++}`)).code
    }
    expect(await codeOf(good)).toBeUndefined()
    expect(await codeOf({ ...good, iss: undefined })).toBeUndefined()
    expect(await codeOf({ ...good, iss: 'https://id.test' })).toBe('token-issuer')
    expect(await codeOf({ ...good, aud: 'api2' })).toBe('token-audience')
    expect(await codeOf({ ...good, aud: undefined })).toBe('token-audience')
  })

  it('compares the claim that the provider names with its audience', async () => {
    const { answering, send } = setup({ audienceClaim: 'client_id', audience: 'abc' })
    const codeOf = async (token: string, answer: object) => {
      answering({ active: true, ...answer })
      return (await send(token)).code
    }
    expect(await codeOf('a', { client_id: 'abc' })).toBeUndefined()
    expect(await codeOf('b', { client_id: 'abd', aud: 'abc' })).toBe('token-audience')
    expect(await codeOf('c', { aud: 'abc' })).toBe('token-audience')
  })

  it('takes a token as long as the headers may be', async () => {
    expect((await setup().send('a'.repeat(32 * 1024))).status).toBe(200)
  })

  const BROKEN: [string, () => Response | Promise<Response>][] = [
    ['refuses the gateway', () => new Response('', { status: 401 })],
    ['fails', () => Response.json({ active: true }, { status: 500 })],
    ['redirects', () => new Response('', { status: 307, headers: { location: 'https://evil.test/' } })],
    ['answers with no JSON', () => new Response('active')],
    ['answers with a list', () => Response.json([{ active: true }])],
    ['answers with a member twice', () => new Response('{"active":true,"active":true,"sub":"ada"}')],
    ['answers with null', () => new Response('null')],
    ['answers with a JWT', () => new Response('eyJhbGciOiJub25lIn0.e30.')],
    ['answers without end', () => Response.json({ active: true, filler: 'x'.repeat(70_000) })],
    ['cannot be reached', () => Promise.reject(new Error('connection lost'))],
    ['accepts but says 204', () => new Response(null, { status: 204 })],
  ]
  it.each(BROKEN)('answers 503 while the issuer %s, and asks again', async (_, answer) => {
    const { issuer, send } = setup()
    const working = issuer.answer
    issuer.answer = answer
    const passage = await send('t')
    expect(passage).toMatchObject({ code: 'introspection-unavailable', status: 503 })
    expect(passage.response.headers.get('retry-after')).toBe('2')
    expect(issuer.calls).toHaveLength(1)
    issuer.answer = working
    expect((await send('t')).status).toBe(200)
  })

  it('waits no longer than its timeout', async () => {
    const waiting = (_: string, init?: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        init!.signal!.addEventListener('abort', () => reject(new Error('aborted')))
      })
    expect((await setup({ timeout: '20ms' }, { fetch: waiting }).send('t')).code).toBe('introspection-unavailable')
  })

  it('remembers no longer than the token lives', async () => {
    const { issuer, answering, send } = setup({ cacheTtl: '1h' })
    answering({ active: true, exp: issuer.now / 1000 + 60 })
    expect((await send('t')).status).toBe(200)
    issuer.now += 59_999
    expect((await send('t')).status).toBe(200)
    expect(issuer.calls).toHaveLength(1)
    issuer.now += 1
    expect((await send('t')).code).toBe('token-expired')
    expect(issuer.calls).toHaveLength(2)
  })

  it('asks again in the background, and then knows that a token was revoked', async () => {
    const { issuer, answering, send } = setup({ cacheTtl: '20s' })
    await send('t')
    answering({ active: false })
    issuer.now += 10_000
    expect((await send('t')).status).toBe(200)
    expect((await send('t')).code).toBe('token-inactive')
    for (let i = 0; i < 3; i++) await send('t')
    expect(issuer.calls).toHaveLength(2)
  })

  it('asks nobody about what is no bearer token', async () => {
    const { issuer, gate, send } = setup()
    for (const text of ['a b', 'a,b', 'tök', '"a"', 'a=b']) {
      const passage = await send(text)
      expect(passage).toMatchObject({ code: 'bearer-malformed', status: 400 })
      expect(passage.response.headers.get('www-authenticate')).toContain('error="invalid_request"')
    }
    expect(await send('a'.repeat(32 * 1024 + 1))).toMatchObject({ code: 'token-too-large', status: 401 })
    const headers: [string, string][] = [
      ['authorization', 'Bearer a'],
      ['authorization', 'Bearer a'],
    ]
    expect((await gate(undefined, { headers })).code).toBe('bearer-malformed')
    expect((await gate(undefined)).code).toBe('token-missing')
    expect(issuer.calls).toHaveLength(0)
  })

  it('lets no flood of tokens through to the issuer', async () => {
    const { issuer, answering, send } = setup()
    answering({ active: false })
    const codes = await Promise.all(Array.from({ length: 300 }, async (_, i) => (await send(`t${i}`)).code))
    expect(issuer.calls).toHaveLength(100)
    expect(codes.filter((code) => code === 'introspection-unavailable')).toHaveLength(200)
  })

  it('counts a flood by client network, so that it keeps nobody else out', async () => {
    const { issuer, answering, gate } = setup()
    answering({ active: false })
    const flood = async (name: string, ip: (nth: number) => string) => {
      const before = issuer.calls.length
      await Promise.all(Array.from({ length: 150 }, (_, i) => gate(`Bearer ${name}${i}`, {}, ip(i))))
      return issuer.calls.length - before
    }
    expect(await flood('a', () => '192.0.2.7')).toBe(100)
    expect(await flood('b', (nth) => `2001:db8:0:1::${nth.toString(16)}`)).toBe(100)
    expect((await gate('Bearer c', {}, '2001:db8:0:1:ffff::1')).code).toBe('introspection-unavailable')
    expect((await gate('Bearer c', {}, '2001:db8:0:2::1')).code).toBe('token-inactive')
    answering({ active: true })
    expect((await gate('Bearer d', {}, '192.0.2.8')).status).toBe(200)
    expect((await gate('Bearer e', {}, '192.0.2.7')).code).toBe('introspection-unavailable')
    issuer.now += 1_000
    expect((await gate('Bearer e', {}, '192.0.2.7')).status).toBe(200)
  })

  it('protects the issuer from a flood of many networks too', async () => {
    const { issuer, answering, gate } = setup()
    answering({ active: false })
    await Promise.all(Array.from({ length: 1_100 }, (_, i) => gate(`Bearer t${i}`, {}, `10.0.${i >> 8}.${i & 255}`)))
    expect(issuer.calls).toHaveLength(1_000)
  })

  it('counts no valid token', async () => {
    const { issuer, send } = setup()
    for (let i = 0; i < 300; i++) expect((await send(`t${i}`)).status).toBe(200)
    expect(issuer.calls).toHaveLength(300)
  })

  it('remembers less of an issuer that says more', async () => {
    const { issuer, answering, send } = setup()
    const known = async (groups: number) => {
      answering({ active: true, sub: 'ada', groups: 'x'.repeat(groups) })
      for (let i = 0; i < 400; i++) expect((await send(`${groups}-${i}`)).status).toBe(200)
      const before = issuer.calls.length
      for (let i = 399; i >= 0; i--) await send(`${groups}-${i}`)
      return 400 - (issuer.calls.length - before)
    }
    expect(await known(10)).toBe(400)
    expect(await known(60_000)).toBeLessThan((8 * 1024 * 1024) / 120_000)
  })

  it('is closed while its secret is not set', async () => {
    const { issuer, send } = setup({}, { secret: () => undefined })
    expect(await send('t')).toMatchObject({ code: 'not-configured', status: 503 })
    expect(issuer.calls).toHaveLength(0)
    expect((await setup({ url: { $env: 'UNSET' } }).send('t')).code).toBe('not-configured')
  })
})
