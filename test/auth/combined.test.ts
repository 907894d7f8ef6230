import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { authProvider } from '../../src/auth/config/auth-provider.ts'
import { makeIdentityClient } from '../../src/identity/client.ts'
import { auth } from '../../src/policies/auth.ts'
import { SECRET, signedRequest } from '../signatures/client.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'
import { makeGate } from './gate.ts'
import { makeIssuer, makeKey, provider, sign } from './issuer.ts'

const key = await makeKey('k1')
const jwks = makeIssuer(key)
const asked: string[] = []
const BY = { provider: 'test', issuer: 'test', subject: 'ada', client: '192.0.2.1', request: 'r' }
const made = await makeIdentityClient(env.IDENTITY).createApiKey(
  { owner: 'acme', scopes: ['partner'], roles: ['machine'], tier: 'gold' },
  BY,
)
if (typeof made === 'string') throw new Error(made)
const platform = makeTestPlatform({
  authProviders: {
    main: provider(),
    keys: authProvider.parse({ type: 'apiKey' }),
    mtls: authProvider.parse({ type: 'mtls', subjects: ['CN=partner'] }),
    opaque: authProvider.parse({
      type: 'introspection',
      url: 'https://id.test/introspect',
      clientId: 'gw',
      clientSecret: { $secret: 'S' },
    }),
  },
  secret: () => 'secret',
  fetch: async (url, init) => {
    if (!url.endsWith('/introspect')) return jwks.fetch(url, init)
    const token = (init!.body as URLSearchParams).get('token')!
    asked.push(token)
    return Response.json({ active: token === 'opaque', sub: 'zoe' })
  },
})
const CERTIFICATE = { certPresented: '1', certVerified: 'SUCCESS', certSubjectDN: 'CN=partner', certIssuerDN: 'CN=CA' }
const NONE = { certPresented: '0', certVerified: 'NONE' }
const carrying = (apiKey?: string, certificate: object = NONE) =>
  ({
    headers: apiKey === undefined ? {} : { 'x-api-key': apiKey },
    cf: { tlsClientAuth: certificate },
  }) as RequestInit
const challengeOf = ({ response }: { response: Response }) => response.headers.get('www-authenticate')

describe('any of several kinds', () => {
  const gate = makeGate(platform, { providers: ['main', 'keys', 'opaque'] })

  it('takes what any of them takes, and nobody else is asked about it', async () => {
    asked.length = 0
    expect((await gate(`Bearer ${await sign(key)}`)).x.identity?.provider).toBe('main')
    expect((await gate(undefined, carrying(made.key))).x.identity?.provider).toBe('keys')
    expect(asked).toEqual([])
    expect((await gate('Bearer opaque')).x.identity?.provider).toBe('opaque')
    expect(asked).toEqual(['opaque'])
  })

  it('challenges for each kind once', async () => {
    const passage = await gate()
    expect(passage).toMatchObject({ code: 'credentials-missing', status: 401 })
    expect(challengeOf(passage)).toBe('Bearer realm="api", ApiKey realm="api"')
    expect((await makeGate(platform, { providers: ['main', 'opaque'] })()).code).toBe('token-missing')
    expect((await makeGate(platform, { providers: ['keys'] })()).code).toBe('api-key-missing')
  })

  it('says what is wrong with what came', async () => {
    const wrongKey = await gate(undefined, carrying('umb_short'))
    expect(wrongKey.code).toBe('api-key-invalid')
    expect(challengeOf(wrongKey)).toBe('Bearer realm="api", ApiKey realm="api"')
    const inactive = await gate('Bearer other')
    expect(inactive.code).toBe('token-inactive')
    expect(challengeOf(inactive)).toMatch(/^Bearer realm="api", error="invalid_token", [^,]+, ApiKey realm="api"$/)
    const [jwtOnly, both] = [
      makeGate(platform, { providers: ['main', 'keys'] }),
      makeGate(platform, { providers: ['keys', 'main'] }),
    ]
    for (const each of [jwtOnly, both]) {
      expect((await each(`Bearer ${await sign(key, { exp: 1 })}`)).code).toBe('token-expired')
      expect((await each(`Bearer ${await sign(key, { iss: 'x' })}`, carrying('umb_short'))).code).toBe(
        'api-key-invalid',
      )
    }
  })

  it('hides a key from the origin whoever let the request in', async () => {
    const token = `Bearer ${await sign(key)}`
    for (const apiKey of [made.key, 'umb_wrong']) {
      const { status, x } = await gate(token, carrying(apiKey))
      expect(status).toBe(200)
      expect(x.identity?.provider).toBe('main')
      expect(x.outgoing.headers).not.toHaveProperty('x-api-key')
    }
  })

  it('takes the first of two good credentials, whichever of them is remembered', async () => {
    const keyFirst = makeGate(platform, { providers: ['keys', 'main'] })
    for (let round = 0; round < 3; round++) {
      const token = `Bearer ${await sign(key, { jti: `${round}` })}`
      for (let again = 0; again < 2; again++) {
        expect((await gate(token, carrying(made.key))).x.identity?.provider).toBe('main')
        expect((await keyFirst(token, carrying(made.key))).x.identity?.provider).toBe('keys')
        expect((await keyFirst(token)).x.identity?.provider).toBe('main')
      }
    }
  })

  it('does not take the credential of one kind for another', async () => {
    const token = await sign(key)
    expect((await gate(undefined, carrying(token))).code).toBe('api-key-invalid')
    expect((await gate(`Bearer ${made.key}`)).code).toBe('token-inactive')
    expect((await gate(`ApiKey ${made.key}`)).code).toBe('credentials-missing')
  })

  it('does not let a platform without certificates speak for a bad token', async () => {
    const mixed = makeGate(platform, { providers: ['main', 'mtls'] })
    expect((await mixed(`Bearer ${await sign(key, { exp: 1 })}`)).code).toBe('token-expired')
    expect((await mixed()).code).toBe('certificate-unavailable')
    expect((await mixed(undefined, carrying())).code).toBe('credentials-missing')
    expect((await mixed(`Bearer ${await sign(key)}`)).status).toBe(200)
  })
})

it('tells keys in two headers apart, whichever of them is remembered', async () => {
  const other = await makeIdentityClient(env.IDENTITY).createApiKey({ owner: 'other' }, BY)
  if (typeof other === 'string') throw new Error(other)
  const providers = {
    first: authProvider.parse({ type: 'apiKey', header: 'x-first' }),
    second: authProvider.parse({ type: 'apiKey', header: 'x-second' }),
  }
  const gate = makeGate(makeTestPlatform({ authProviders: providers }))
  const both = { headers: { 'x-first': made.key, 'x-second': other.key } }
  expect((await gate(undefined, { headers: { 'x-second': other.key } })).x.identity?.subject).toBe('other')
  for (let round = 0; round < 2; round++) expect((await gate(undefined, both)).x.identity?.subject).toBe('acme')
})

describe('any of two providers that share a key', () => {
  const shared = (parts: object = {}) =>
    authProvider.parse({
      type: 'httpSignature',
      keys: [{ keyid: 'acme', alg: 'hmac-sha256', secret: { $secret: 'ACME' } }],
      ...parts,
    })
  const partners = { strict: shared({ maxBody: '16b' }), lax: shared({ components: ['@method'] }), main: provider() }
  const signedPlatform = makeTestPlatform({ authProviders: partners, secret: () => SECRET, fetch: jwks.fetch })
  const handler = auth.compile(
    auth.config.parse({ providers: ['strict', 'lax', 'main'] }),
    signedPlatform,
    makeTestFacts({ hasAuth: true, authProviders: partners }),
  )(async (x) => new Response(x.outgoing.body as BodyInit | null))
  const codeOf = async (request: Request) => {
    const response = await handler(makeTestExchange(request))
    return response.ok ? undefined : ((await response.json()) as { code: string }).code
  }

  it('takes a request once', async () => {
    const request = await signedRequest()
    expect(await codeOf(request.clone())).toBeUndefined()
    expect(await codeOf(request.clone())).toBe('signature-replayed')
  })

  it('sends no body on that one of them has begun to read', async () => {
    const request = await signedRequest({ body: 'more than sixteen bytes' })
    const headers = new Headers(request.headers)
    headers.set('authorization', `Bearer ${await sign(key)}`)
    // Without a length: it must be read to know.
    const { readable, writable } = new TransformStream<Uint8Array>()
    void request.body!.pipeTo(writable)
    expect(await codeOf(new Request(request.url, { method: 'POST', headers, body: readable }))).toBe('body-too-large')
  })
})

describe('all of several kinds', () => {
  const gate = makeGate(platform, { providers: ['main', 'keys', 'mtls'], require: 'all' })
  const everything = carrying(made.key, CERTIFICATE)

  it('takes the first for the caller, and the key for limits', async () => {
    const token = `Bearer ${await sign(key, { scope: 'a', roles: ['x'] })}`
    for (let round = 0; round < 2; round++) {
      const { status, x } = await gate(token, everything)
      expect(status).toBe(200)
      expect(x.identity).toMatchObject({ provider: 'main', subject: 'ada', scopes: ['a'], roles: ['x'], tier: 'gold' })
      expect(x.identity?.keyId).toBe(made.apiKey.id)
      expect(x.outgoing.headers).toMatchObject({ 'x-auth-subject': 'ada', 'x-auth-scopes': 'a' })
      expect(x.outgoing.headers).not.toHaveProperty('x-api-key')
    }
  })

  it('adds up no rights', async () => {
    const token = `Bearer ${await sign(key, { scope: 'a' })}`
    const needs = (rules: object) => makeGate(platform, { providers: ['main', 'keys'], require: 'all', ...rules })
    expect((await needs({ scopes: ['partner'] })(token, everything)).code).toBe('scope-missing')
    expect((await needs({ scopes: ['a', 'partner'] })(token, everything)).code).toBe('scope-missing')
    expect((await needs({ roles: ['machine'] })(token, everything)).code).toBe('role-missing')
    expect((await needs({ scopes: ['a'] })(token, everything)).status).toBe(200)
    const keyFirst = makeGate(platform, { providers: ['keys', 'main'], require: 'all', scopes: ['partner'] })
    expect((await keyFirst(token, everything)).x.identity).toMatchObject({ provider: 'keys', subject: 'acme' })
  })

  it.each([
    ['api-key-missing', true, undefined, CERTIFICATE],
    ['api-key-invalid', true, 'umb_wrong', CERTIFICATE],
    ['certificate-missing', true, made.key, NONE],
    ['certificate-invalid', true, made.key, { ...CERTIFICATE, certVerified: 'FAILED' }],
    ['token-missing', false, made.key, CERTIFICATE],
  ])('%s when that one fails, remembered or not', async (code, hasToken, apiKey, certificate) => {
    const token = hasToken ? `Bearer ${await sign(key)}` : undefined
    for (let round = 0; round < 2; round++) {
      const passage = await gate(token, carrying(apiKey, certificate))
      expect(passage).toMatchObject({ code, status: 401 })
      expect(challengeOf(passage)).toBe('Bearer realm="api", ApiKey realm="api", ClientCertificate realm="api"')
      expect(passage.x.identity).toBeUndefined()
    }
  })

  it('waits for nothing when all are remembered', async () => {
    const init = { headers: { authorization: `Bearer ${await sign(key)}`, 'x-api-key': made.key } }
    const answer = Promise.resolve(new Response('passed'))
    const facts = makeTestFacts({ hasAuth: true, authProviders: platform.authProviders })
    const config = auth.config.parse({ providers: ['main', 'keys'], require: 'all' })
    const handler = auth.compile(config, platform, facts)(() => answer)
    const ask = () => handler(makeTestExchange(new Request('https://gw.test/', init)))
    await ask()
    expect(ask()).toBe(answer)
  })

  it('is closed when one of them has no secret', async () => {
    const unset = makeTestPlatform({ ...platform, secret: () => undefined })
    const token = `Bearer ${await sign(key)}`
    expect((await makeGate(unset, { providers: ['main', 'opaque'] })(token)).status).toBe(200)
    const all = makeGate(unset, { providers: ['main', 'opaque'], require: 'all' })
    expect(await all(token)).toMatchObject({ code: 'not-configured', status: 503 })
  })
})
