import { describe, expect, it, vi } from 'vitest'
import type { Exchange } from '../../src/core/exchange.ts'
import { auth, identityHeaderNames } from '../../src/policies/auth.ts'
import { makeClockedPlatform, makeGate } from '../auth/gate.ts'
import { ISSUER, makeIssuer, makeKey, provider, sign } from '../auth/issuer.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'

const key = await makeKey('k1')
const issuer = makeIssuer(key)
const platform = makeTestPlatform({ authProviders: { main: provider() }, fetch: issuer.fetch })
const gate = makeGate(platform)
const challengeOf = ({ response }: { response: Response }) => response.headers.get('www-authenticate')

/** The headers of the outgoing request that state the caller's identity. */
function identityHeadersOf({ outgoing }: Exchange): Record<string, string> {
  return Object.fromEntries(Object.entries(outgoing.headers).filter(([name]) => name.startsWith('x-auth-')))
}

describe('auth', () => {
  it('lets a good token in, says who it is, and tells the origin', async () => {
    const token = await sign(key, { scope: 'users:read users:write', roles: ['admin', 'staff'] })
    const { status, x } = await gate(`Bearer ${token}`)
    expect(status).toBe(200)
    expect(x.identity).toMatchObject({
      provider: 'main',
      issuer: ISSUER,
      subject: 'ada',
      scopes: ['users:read', 'users:write'],
      roles: ['admin', 'staff'],
      claims: { aud: 'api' },
    })
    expect(identityHeadersOf(x)).toEqual({ 'x-auth-subject': 'ada', 'x-auth-scopes': 'users:read users:write' })
  })

  it.each<[string[], Record<string, string>]>([
    [['x-auth-issuer'], { 'x-auth-issuer': ISSUER }],
    [['x-auth-roles', 'x-attempt'], { 'x-auth-roles': 'admin,staff' }],
  ])('tells an upstream %j when it asks for that', async (toldHeaders, told) => {
    const token = await sign(key, { scope: 'users:read', roles: ['admin', 'staff'] })
    const { x } = await makeGate(platform, {}, { toldHeaders })(`Bearer ${token}`)
    expect(identityHeadersOf(x)).toEqual({ 'x-auth-subject': 'ada', 'x-auth-scopes': 'users:read', ...told })
    const gateOfOwn = makeGate(platform, { identityHeaders: { 'x-who': 'sub' } }, { toldHeaders })
    const own = await gateOfOwn(`Bearer ${token}`)
    expect(identityHeadersOf(own.x)).toEqual({})
  })

  it.each(['bearer', 'BEARER', 'Bearer '])('takes the scheme as "%s"', async (scheme) => {
    expect((await gate(`${scheme} ${await sign(key)}`)).status).toBe(200)
  })

  it.each([undefined, 'Basic YTpi', 'Bearer', 'Bearerx.y.z', 'Token abc', ''])('%j is no token', async (header) => {
    const passage = await gate(header)
    expect(passage.code).toBe('token-missing')
    expect(challengeOf(passage)).toBe('Bearer realm="api"')
  })

  it('refuses two Authorization headers', async () => {
    const token = await sign(key)
    const headers = new Headers()
    headers.append('authorization', `Bearer ${token}`)
    headers.append('authorization', `Bearer ${token}`)
    const passage = await gate(headers.get('authorization')!)
    expect(passage).toMatchObject({ code: 'bearer-malformed', status: 400 })
    expect(challengeOf(passage)).toMatch(/^Bearer realm="api", error="invalid_request", error_description="[^"\\]+"$/)
    expect((await gate('Bearer not.a.jwt')).status).toBe(401)
    expect((await gate(`Basic YTpi, Bearer ${token}`)).code).toBe('token-missing')
  })

  it.each([
    ['token-expired', { exp: 1 }],
    ['token-not-yet-valid', { nbf: 2 ** 33 }],
    ['token-audience', { aud: 'other' }],
    ['token-issuer', { iss: 'https://other.test/' }],
    ['token-claims', { exp: undefined }],
    ['token-claims', { aud: undefined }],
    ['token-claims', { iss: undefined }],
    ['token-claims', { sub: 7 }],
  ])('%s: %j', async (code, claims) => {
    const passage = await gate(`Bearer ${await sign(key, claims)}`)
    expect(passage).toMatchObject({ code, status: 401 })
    expect(challengeOf(passage)).toMatch(/^Bearer realm="api", error="invalid_token", error_description="[^"\\]+"$/)
  })

  it('gives 30 s for clocks that differ, and no more', async () => {
    const now = Math.floor(Date.now() / 1000)
    expect((await gate(`Bearer ${await sign(key, { exp: now - 25, nbf: now + 25 })}`)).status).toBe(200)
    expect((await gate(`Bearer ${await sign(key, { exp: now - 31 })}`)).code).toBe('token-expired')
    expect((await gate(`Bearer ${await sign(key, { nbf: now + 33 })}`)).code).toBe('token-not-yet-valid')
  })
})

describe('what a route asks of its caller', () => {
  it.each([
    [{ scopes: ['a', 'b'] }, { scope: 'b a' }, undefined],
    [{ scopes: ['a', 'b'] }, { scope: 'a' }, 'scope-missing'],
    [{ scopes: ['users:read'] }, { scope: 'users:readonly xusers:read' }, 'scope-missing'],
    [{ roles: ['x', 'y'] }, { roles: ['y'] }, undefined],
    [{ roles: ['admin'] }, { roles: 'not admin' }, 'role-missing'],
    [{ roles: ['admin'] }, {}, 'role-missing'],
    [{ claims: { tenant: 'acme' } }, { tenant: 'acme' }, undefined],
    [{ claims: { tenant: 'acme' } }, { tenant: 'Acme' }, 'claim-mismatch'],
    [{ claims: { tenant: ['acme', 'umbrella'] } }, { tenant: 'umbrella' }, undefined],
    [{ claims: { groups: 'ops' } }, { groups: ['dev', 'ops'] }, undefined],
    [{ claims: { level: 3 } }, { level: '3' }, 'claim-mismatch'],
    [{ claims: { 'org.paid': true } }, { org: { paid: true } }, undefined],
    [{ claims: { 'org.paid': true } }, {}, 'claim-mismatch'],
  ])('%j of %j → %s', async (rules, claims, code) => {
    expect((await makeGate(platform, rules)(`Bearer ${await sign(key, claims)}`)).code).toBe(code)
  })

  it('says in a 403 that a scope is missing, and not which', async () => {
    const passage = await makeGate(platform, { scopes: ['a', 'b'] })(`Bearer ${await sign(key)}`)
    expect(passage.status).toBe(403)
    expect(challengeOf(passage)).toBe('Bearer realm="api", error="insufficient_scope"')
    expect(Object.keys((await passage.response.json()) as object)).toEqual(['type', 'title', 'status', 'code'])
    expect(passage.x.identity).toBeUndefined()
    expect(passage.x.outgoing.headers).not.toHaveProperty('x-auth-subject')
  })

  it('names what is missing where the provider allows it', async () => {
    const open = makeTestPlatform({
      authProviders: { main: provider({ discloseRequirements: true }) },
      fetch: issuer.fetch,
    })
    const token = `Bearer ${await sign(key, { scope: 'a' })}`
    const lacking = await makeGate(open, { scopes: ['a', 'b'] })(token)
    expect(challengeOf(lacking)).toBe('Bearer realm="api", error="insufficient_scope", scope="a b"')
    expect(await lacking.response.json()).toMatchObject({ code: 'scope-missing', missingScopes: ['b'] })
    const roles = await makeGate(open, { roles: ['x', 'y'] })(token)
    expect(await roles.response.json()).toMatchObject({ code: 'role-missing', oneOfRoles: ['x', 'y'] })
    const claims = await makeGate(open, { claims: { tenant: 'acme' } })(token)
    expect(await claims.response.text()).not.toMatch(/acme|tenant/)
  })

  it.each<[unknown, object]>([
    ['resource_access.app.example.com.roles', { resource_access: { 'app.example.com': { roles: ['admin'] } } }],
    [['resource_access', 'app.example.com', 'roles'], { resource_access: { 'app.example.com': { roles: ['admin'] } } }],
    [['https://example.com/claims', 'roles'], { 'https://example.com/claims': { roles: ['admin'] } }],
  ])('finds the roles and scopes of a provider at %j', async (path, claims) => {
    const named = makeTestPlatform({
      authProviders: { main: provider({ rolesClaim: path, scopesClaim: path }) },
      fetch: issuer.fetch,
    })
    const allowed = makeGate(named, { roles: ['admin'], scopes: ['admin'] })
    expect((await allowed(`Bearer ${await sign(key, { ...claims })}`)).code).toBeUndefined()
    expect((await allowed(`Bearer ${await sign(key)}`)).code).toBe('scope-missing')
  })

  it.each<[unknown, unknown, Record<string, unknown>, string | undefined]>([
    ['client_id', 'abc', { client_id: 'abc', aud: undefined }, undefined],
    ['client_id', ['x', 'abc'], { client_id: 'abc' }, undefined],
    ['azp', 'abc', { azp: ['x', 'abc'], aud: undefined }, undefined],
    [['https://id.test/app', 'id'], 'abc', { 'https://id.test/app': { id: 'abc' } }, undefined],
    ['client_id', 'abc', { aud: 'abc' }, 'token-claims'],
    ['client_id', 'abc', { client_id: 'abcd', aud: 'abc' }, 'token-audience'],
    ['client_id', 'abc', { client_id: { abc: 'abc' } }, 'token-audience'],
    ['client_id', 'abc', { client_id: [['abc']] }, 'token-audience'],
    ['client_id', 'abc', { client_id: null }, 'token-audience'],
    ['aud', 'api', { aud: undefined, client_id: 'api' }, 'token-claims'],
  ])('audienceClaim %j, audience %j: %j → %s', async (audienceClaim, audience, claims, code) => {
    const named = makeTestPlatform({
      authProviders: { main: provider({ audienceClaim, audience }) },
      fetch: issuer.fetch,
    })
    const allowed = makeGate(named)
    expect((await allowed(`Bearer ${await sign(key, claims)}`)).code).toBe(code)
  })

  it('accepts a token with many groups', async () => {
    const groups = Array.from({ length: 170 }, () => crypto.randomUUID())
    const token = await sign(key, { groups })
    expect(token.length).toBeGreaterThan(8 * 1024)
    expect((await makeGate(platform)(`Bearer ${token}`)).status).toBe(200)
    expect((await makeGate(platform)(`Bearer ${await sign(key, { x: 'x'.repeat(23_500) })}`)).status).toBe(200)
  })

  it('keeps the decisions of two routes about one token apart', async () => {
    const token = `Bearer ${await sign(key, { scope: 'a' })}`
    const [open, closed] = [makeGate(platform, { scopes: ['a'] }), makeGate(platform, { scopes: ['b'] })]
    for (let round = 0; round < 3; round++) {
      expect((await open(token)).status).toBe(200)
      expect((await closed(token)).code).toBe('scope-missing')
    }
  })
})

describe('identity headers', () => {
  it.each([
    ['sub', { sub: 'zoë\r\nx-admin: 1' }, 'zo%C3%AB%0D%0Ax-admin: 1'],
    ['sub', { sub: ' 100% ' }, '%20100%25%20'],
    ['sub', { sub: '\ud800💙' }, '%EF%BF%BD%F0%9F%92%99'],
    ['$roles', { roles: ['a,admin', 'b c'] }, 'a%2Cadmin,b%20c'],
    ['$scopes', { scope: ['a b', 'c'] }, 'a%20b c'],
    ['groups', { groups: ['x', 2, { y: 1 }] }, 'x,2,'],
    ['org.id', { org: { id: 7 } }, '7'],
    [['https://id.test/org', 'id'], { 'https://id.test/org': { id: 7 } }, '7'],
    ['https://id.test/org.id', { 'https://id.test/org': { id: 7 } }, '7'],
    ['org', { org: { id: 7 } }, undefined],
    ['missing', {}, undefined],
    ['$roles', { roles: [] }, undefined],
  ])('%s of %j → %s', async (source, claims, value) => {
    const { x } = await makeGate(platform, { identityHeaders: { 'X-Who': source } })(
      `Bearer ${await sign(key, claims)}`,
    )
    expect(x.outgoing.headers['x-who']).toBe(value)
    expect(x.outgoing.headers).not.toHaveProperty('x-auth-subject')
  })

  it('differ between two routes that one token visits', async () => {
    const token = `Bearer ${await sign(key)}`
    const [standard, own] = [makeGate(platform), makeGate(platform, { identityHeaders: { 'x-who': 'sub' } })]
    for (let round = 0; round < 2; round++) {
      expect((await standard(token)).x.outgoing.headers).not.toHaveProperty('x-who')
      expect((await own(token)).x.outgoing.headers).not.toHaveProperty('x-auth-subject')
    }
  })

  it('lists every name whose client copies must go, the default ones always', () => {
    expect(identityHeaderNames({ identityHeaders: { 'x-who': 'sub' } }).toSorted()).toEqual([
      'x-auth-issuer',
      'x-auth-roles',
      'x-auth-scopes',
      'x-auth-subject',
      'x-who',
    ])
  })
})

describe('the cache of verified tokens', () => {
  it('answers at once, without verifying again', async () => {
    const header = `Bearer ${await sign(key)}`
    await gate(header)
    const verified = vi.spyOn(crypto.subtle, 'verify')
    const x = makeTestExchange(new Request('https://gw.test/', { headers: { authorization: header } }))
    const response = Promise.resolve(new Response('passed'))
    const facts = makeTestFacts({ hasAuth: true, authProviders: platform.authProviders })
    const handler = auth.compile(auth.config.parse({ providers: ['main'] }), platform, facts)(() => response)
    // The same promise as the next layer's: the policy makes none of its own.
    expect(handler(x)).toBe(response)
    expect(verified).not.toHaveBeenCalled()
    verified.mockRestore()
  })

  it('judges exp and nbf again at every use', async () => {
    const { platform: clocked, clock } = makeClockedPlatform({ main: provider() }, { fetch: issuer.fetch })
    const start = Math.floor(clock.now / 1000)
    const gated = makeGate(clocked)
    const token = `Bearer ${await sign(key, { nbf: start, exp: start + 60 })}`
    const codeAt = async (seconds: number) => {
      clock.now = (start + seconds) * 1000
      return (await gated(token)).code
    }
    expect(await codeAt(0)).toBeUndefined()
    expect(await codeAt(89)).toBeUndefined()
    expect(await codeAt(90)).toBe('token-expired')
    expect(await codeAt(-31)).toBe('token-not-yet-valid')
    expect(await codeAt(-30)).toBeUndefined()
  })
})

describe('configuration', () => {
  const facts = makeTestFacts({ hasAuth: true, authProviders: { main: provider(), partners: provider() } })
  const checked = (config: Record<string, unknown>) => auth.check!(auth.config.parse(config), facts)

  it('names the provider that does not exist, and the nearest that does', () => {
    expect(checked({ providers: ['main', 'partner'] })).toEqual([
      { path: ['providers', 1], message: expect.stringContaining('did you mean "partners"?') as string },
    ])
  })

  it.each(['authorization', 'Host', 'content-length', 'x-forwarded-for', 'traceparent'])(
    'keeps identity out of %s',
    (name) => {
      expect(checked({ providers: ['main'], identityHeaders: { [name]: 'sub' } })).toMatchObject([
        { path: ['identityHeaders', name.toLowerCase()] },
      ])
    },
  )

  it.each([
    ['no provider', { providers: [] }],
    ['a provider twice', { providers: ['main', 'main'] }],
    ['another require', { providers: ['main'], require: 'some' }],
    ['a scope with a space', { providers: ['main'], scopes: ['a b'] }],
    ['a claim that is an object', { providers: ['main'], claims: { a: {} } }],
    ['an unknown field', { providers: ['main'], scope: ['a'] }],
    ['a bad header name', { providers: ['main'], identityHeaders: { 'a b': 'sub' } }],
  ])('refuses %s', (_, config) => {
    expect(auth.config.safeParse(config).success).toBe(false)
  })
})
