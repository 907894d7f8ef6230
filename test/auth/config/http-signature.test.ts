import { expect, it } from 'vitest'
import { unsetKeys } from '../../../src/config/environment.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { diagnosticText } from '../../../src/config/schema/diagnostic.ts'

const HMAC = { keyid: 'acme', alg: 'hmac-sha256', secret: { $secret: 'ACME' } }
const JWK = { kty: 'OKP', crv: 'Ed25519', x: 'JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs' }
const SIGN = { keyid: 'gw', alg: 'hmac-sha256', secret: { $secret: 'ORIGIN' } }

const load = (provider: object, sign: object = SIGN) =>
  loadConfig({
    version: 1,
    authProviders: { partners: { type: 'httpSignature', keys: [HMAC], ...provider } },
    upstreams: { orders: { targets: [{ url: 'https://orders.test' }], sign } },
    routes: [{ id: 'r', match: { path: '/' }, upstream: 'orders', policies: { auth: { providers: ['partners'] } } }],
  })

function diagnostics(provider: object, sign?: object): string[] {
  const loaded = load(provider, sign)
  return 'diagnostics' in loaded ? loaded.diagnostics.map(diagnosticText) : []
}

it('takes what the documentation shows', () => {
  expect(
    diagnostics({ components: ['@method', '@target-uri', 'content-digest'], maxAge: '5m', requireNonce: true }),
  ).toEqual([])
  expect(diagnostics({ keys: [HMAC, { keyid: 'b', alg: 'ed25519', jwk: JWK }] })).toEqual([])
})

it.each<[what: string, where: string, provider: object, sign?: object]>([
  ['an HMAC with a public key', 'keys[0]', { keys: [{ keyid: 'a', alg: 'hmac-sha256', jwk: JWK }] }],
  ['a public-key algorithm with a secret', 'keys[0]', { keys: [{ ...HMAC, alg: 'ed25519' }] }],
  ['a key of another algorithm', 'keys[0].jwk', { keys: [{ keyid: 'a', alg: 'ecdsa-p256-sha256', jwk: JWK }] }],
  ['a private key', 'keys[0].jwk', { keys: [{ keyid: 'a', alg: 'ed25519', jwk: { ...JWK, d: 'AA' } }] }],
  ['a key without its key', 'keys[0].publicKey', { keys: [{ keyid: 'a', alg: 'ed25519' }] }],
  ['two keys of one id', 'keys[1].keyid', { keys: [HMAC, HMAC] }],
  ['no keys', 'keys', { keys: [] }],
  ['an unknown algorithm', 'keys[0]', { keys: [{ ...HMAC, alg: 'hmac-sha1' }] }],
  ['a component of responses', 'components[0]', { components: ['@status'] }],
  ['a component in upper case', 'components[0]', { components: ['Date'] }],
  ['an endless age', 'maxAge', { maxAge: '2h' }],
  ['a field that changes on its way', 'sign.components[0]', {}, { ...SIGN, components: ['x-attempt'] }],
  ['an HMAC with a private key', 'sign.alg', {}, { keyid: 'gw', alg: 'hmac-sha256', key: { $secret: 'K' } }],
  ['no key', 'sign.alg', {}, { keyid: 'gw', alg: 'ed25519' }],
])('refuses %s at %s', (_, where, provider, sign) => {
  const found = diagnostics(provider, sign)
  expect(found.length).toBeGreaterThan(0)
  expect(found.filter((diagnostic) => !diagnostic.includes(where))).toEqual([])
})

it('says what is not set, and what that costs', () => {
  const loaded = load({})
  if ('diagnostics' in loaded) throw new Error('refused')
  expect(unsetKeys(loaded.config, () => undefined)).toEqual([
    'ACME is not set: route r answers 503',
    'ORIGIN is not set: nothing is sent to the upstream orders, whose routes answer 503',
  ])
})
