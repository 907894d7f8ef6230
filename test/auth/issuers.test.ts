import { env } from 'cloudflare:workers'
import { beforeAll, expect, it } from 'vitest'
import { authProvider } from '../../src/auth/config/auth-provider.ts'
import { issuersOf } from '../../src/auth/issuers.ts'
import { makeIdentityClient } from '../../src/identity/client.ts'
import { SECRET, signedRequest } from '../signatures/client.ts'
import { makeTestPlatform } from '../support/platform.ts'
import { makeGate } from './gate.ts'
import { ISSUER, provider } from './issuer.ts'

const opaque = {
  type: 'introspection',
  url: 'https://id.test/introspect',
  clientId: 'gw',
  clientSecret: { $secret: 'S' },
}
const providers = {
  main: provider(),
  again: provider(),
  keys: authProvider.parse({ type: 'apiKey' }),
  opaque: authProvider.parse(opaque),
  named: authProvider.parse({ ...opaque, issuer: 'opaque' }),
  elsewhere: authProvider.parse({ ...opaque, url: { $env: 'ISSUER' } }),
  unset: authProvider.parse({ ...opaque, url: { $env: 'UNSET' } }),
  mtls: authProvider.parse({ type: 'mtls', subjects: ['CN=partner'], issuers: ['CN=Acme CA'] }),
  partners: authProvider.parse({
    type: 'httpSignature',
    keys: [{ keyid: 'acme', alg: 'hmac-sha256', secret: { $secret: 'ACME' } }],
  }),
}
const platform = makeTestPlatform({
  authProviders: providers,
  hasAdmin: true,
  secret: () => SECRET,
  variable: (name) => (name === 'ISSUER' ? 'https://other.test/introspect' : undefined),
  fetch: async () => Response.json({ active: true, sub: 'ada', iat: Math.floor(Date.now() / 1000) - 60 }),
})
const certificate = {
  certPresented: '1',
  certVerified: 'SUCCESS',
  certSubjectDN: 'cn=partner',
  certIssuerDN: 'cn = Acme CA',
}

// Its first start may take longer than a caller waits for revocations.
beforeAll(async () => {
  await makeIdentityClient(env.IDENTITY).signingKeys()
})

type Gate = ReturnType<typeof makeGate>
const ISSUERS = [ISSUER, 'https://id.test', 'opaque', 'https://other.test', 'CN=Acme CA', 'partners']

it('are what every kind of provider says of its callers, each once', () => {
  expect(issuersOf(platform.authProviders, platform.variable)).toEqual(ISSUERS)
})

it.each<[provider: string, subject: string, call: (gate: Gate) => ReturnType<Gate>]>([
  ['opaque', 'ada', (gate) => gate('Bearer t')],
  ['mtls', 'CN=partner', (gate) => gate(undefined, { cf: { tlsClientAuth: certificate } } as RequestInit)],
  [
    'partners',
    'acme',
    async (gate) => gate(undefined, { headers: (await signedRequest({ url: 'https://gw.test/users/7' })).headers }),
  ],
])('a caller of the provider %s is revoked by issuer and subject', async (name, subject, call) => {
  const isolate = () => makeGate(makeTestPlatform({ ...platform }), { providers: [name] })
  const { status, x } = await call(isolate())
  expect([status, x.identity?.subject]).toEqual([200, subject])
  const { issuer } = x.identity!
  expect(ISSUERS).toContain(issuer)
  const by = { provider: 'p', issuer: 'i', subject: 's', client: '192.0.2.1', request: 'r' }
  await makeIdentityClient(env.IDENTITY).revoke({ issuer, subject }, Date.now() + 60_000, by)
  expect((await call(isolate())).code).toBe('token-revoked')
})
