import { exportJWK, generateKeyPair } from 'jose'
import { describe, expect, it } from 'vitest'
import { setupIssuer } from '../gate.ts'
import { JWKS_URL, makeKey, sign, type TestKey } from '../issuer.ts'

const [first, second] = [await makeKey('k1'), await makeKey('k2')]
const pairs = [
  await generateKeyPair('RS256', { modulusLength: 2048, extractable: true }),
  await generateKeyPair('RS256', { modulusLength: 2048, extractable: true }),
] as const
const rsa = { alg: 'RS256', privateKey: pairs[0].privateKey }
const [rsaJwk, otherRsaJwk] = [await exportJWK(pairs[0].publicKey), await exportJWK(pairs[1].publicKey)]
const MINUTE = 60_000
const LONG = { exp: Math.floor(Date.now() / 1000) + 86_400 }

describe('a key set with one id on several keys', () => {
  const sig = { ...rsaJwk, kid: 'a', use: 'sig', alg: 'RS256' }
  const other = { ...otherRsaJwk, kid: 'a' }
  it.each<[string, unknown[], string | undefined]>([
    ['an encryption key', [{ ...other, use: 'enc', alg: 'RSA-OAEP' }, sig], undefined],
    ['an encryption key without alg', [{ ...other, use: 'enc' }, sig], undefined],
    ['a key for other operations', [{ ...other, key_ops: ['encrypt', 'wrapKey'] }, sig], undefined],
    ['a private key', [{ ...other, d: 'AQAB' }, sig], undefined],
    ['a symmetric key', [{ kty: 'oct', k: 'AQAB', kid: 'a' }, sig], undefined],
    ['a key of another algorithm', [{ ...other, alg: 'PS256' }, sig], undefined],
    ['a key of an algorithm that the provider lacks', [{ ...other, alg: 'RS512' }, sig], undefined],
    ['the same key for another algorithm', [{ ...sig, alg: 'PS256' }, sig], undefined],
    ['a key of another type', [{ ...first.jwk, kid: 'a' }, sig], undefined],
    ['the same key again', [sig, { ...sig, x5t: 'abc' }], undefined],
    ['another key of the algorithm', [{ ...other, alg: 'RS256' }, sig], 'token-key-unknown'],
    ['another key without alg', [other, sig], 'token-key-unknown'],
  ])('chooses by algorithm beside %s', async (_, keys, code) => {
    for (const published of [keys, keys.toReversed()]) {
      const { issuer, codeOf } = setupIssuer([], { algorithms: ['RS256', 'PS256', 'ES256'] })
      issuer.keys = published
      expect(await codeOf(await sign(rsa, {}, { kid: 'a' }))).toBe(code)
    }
  })
})

describe('a token without kid', () => {
  const bare = (key: TestKey, claims = {}) => sign(key, claims, { kid: undefined })

  it('is verified with every key of its algorithm, whether the keys have ids or not', async () => {
    const { issuer, codeOf, calls } = setupIssuer([first, second])
    issuer.keys = [first.jwk, { ...second.jwk, kid: undefined }, rsaJwk]
    expect(await codeOf(await bare(first))).toBeUndefined()
    expect(await codeOf(await bare(second))).toBeUndefined()
    expect(await codeOf(await bare(await makeKey('k3')))).toBe('token-signature')
    expect(calls()).toBe(1)
  })

  it('is verified with keys of one id', async () => {
    const { issuer, codeOf } = setupIssuer([])
    issuer.keys = [first.jwk, { ...second.jwk, kid: first.jwk.kid }]
    expect(await codeOf(await bare(second))).toBeUndefined()
    expect(await codeOf(await sign(second, {}, { kid: first.jwk.kid }))).toBe('token-key-unknown')
  })

  it('is verified with 8 keys at most, and refused for its claims by the key that made it', async () => {
    const keys = await Promise.all(Array.from({ length: 9 }, (_, nth) => makeKey(`n${nth}`)))
    const { codeOf } = setupIssuer(keys)
    expect(await codeOf(await bare(keys[7]!))).toBeUndefined()
    expect(await codeOf(await bare(keys[7]!, { aud: 'other' }))).toBe('token-audience')
    expect(await codeOf(await bare(keys[7]!, { exp: 1 }))).toBe('token-expired')
    expect(await codeOf(await bare(keys[8]!))).toBe('token-signature')
    expect(await codeOf(await sign(keys[8]!))).toBeUndefined()
  })

  it('is forgotten with the key that verified it', async () => {
    const { issuer, clock, codeOf } = setupIssuer([first, second])
    const token = await bare(second, LONG)
    expect(await codeOf(token)).toBeUndefined()
    issuer.keys = [first.jwk]
    clock.now += 10 * MINUTE + 1
    await codeOf(token)
    expect(await codeOf(token)).toBe('token-signature')
  })
})

it.each([
  ['jku', 'https://evil.test/jwks.json'],
  ['x5u', 'https://evil.test/cert.pem'],
  ['jku', JWKS_URL],
  ['jku', 7],
])('%s %j in the header of a token is ignored and not fetched', async (name, value) => {
  const { issuer, codeOf } = setupIssuer([first])
  expect(await codeOf(await sign(first, {}, { [name]: value }))).toBeUndefined()
  expect(await codeOf(await sign({ ...second, jwk: first.jwk }, {}, { [name]: value }))).toBe('token-signature')
  expect(issuer.calls).toEqual([JWKS_URL])
})
