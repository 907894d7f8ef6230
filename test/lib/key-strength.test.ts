import { base64url, exportJWK, generateKeyPair } from 'jose'
import { describe, expect, it } from 'vitest'
import { isFitKey } from '../../src/lib/key-strength.ts'

/** With leading zeros, which do not add to the strength. */
const encode = (value: bigint) => base64url.encode(Buffer.from(value.toString(16).padStart(2052, '0'), 'hex'))

const { publicKey } = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true })
const strong = (await exportJWK(publicKey)) as Record<string, unknown>
const ec = { kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }

describe('isFitKey', () => {
  it.each([
    ['RSA 2048', strong, 'RS256'],
    ['RSA 2048', strong, 'PS512'],
    ['alg, use and key_ops that fit', { ...strong, alg: 'RS256', use: 'sig', key_ops: ['verify'] }, 'RS256'],
    ['P-256', ec, 'ES256'],
    ['Ed25519', { kty: 'OKP', crv: 'Ed25519', x: 'x' }, 'EdDSA'],
    ['Ed25519 under its own name', { kty: 'OKP', crv: 'Ed25519', x: 'x', alg: 'Ed25519' }, 'EdDSA'],
  ])('takes %s', (_, jwk, alg) => {
    expect(isFitKey(jwk, alg)).toBe(true)
  })

  it.each([
    ['a symmetric key', { kty: 'oct', k: 'c2VjcmV0' }, 'HS256'],
    ['a symmetric key for RS256', { kty: 'oct', k: 'c2VjcmV0', alg: 'RS256' }, 'RS256'],
    ['a private key', { ...strong, d: 'x' }, 'RS256'],
    ['RSA for ES256', strong, 'ES256'],
    ['P-256 for ES384', ec, 'ES384'],
    ['P-256 for RS256', ec, 'RS256'],
    ['another alg', { ...ec, alg: 'ES384' }, 'ES256'],
    ['use enc', { ...ec, use: 'enc' }, 'ES256'],
    ['key_ops sign', { ...ec, key_ops: ['sign'] }, 'ES256'],
    ['key_ops that is no list', { ...ec, key_ops: 'verify' }, 'ES256'],
    ['e = 3', { ...strong, e: 'Aw' }, 'RS256'],
    ['2047 bits', { ...strong, n: encode((1n << 2046n) + 1n) }, 'RS256'],
    ['8193 bits', { ...strong, n: encode((1n << 8192n) + 1n) }, 'RS256'],
    ['no modulus', { kty: 'RSA', e: 'AQAB' }, 'RS256'],
    ['a modulus with leading zeros', { ...strong, n: encode(3n) }, 'RS256'],
    ['a modulus of 10,000 characters', { ...strong, n: 'A'.repeat(10_000) }, 'RS256'],
  ])('refuses %s', (_, jwk, alg) => {
    expect(isFitKey(jwk, alg)).toBe(false)
  })

  it('refuses a ROCA modulus, and takes its neighbour', () => {
    const primes = [
      3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
      113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ]
    const product = primes.reduce((all, prime) => all * BigInt(prime), 1n)
    // As the faulty chips made them: a multiple of the product of small primes, plus a power of 65537 modulo it.
    const weak = product * ((1n << 2047n) / product + 1n) + (65537n ** 29n % product)
    expect(isFitKey({ ...strong, n: encode(weak) }, 'RS256')).toBe(false)
    expect(isFitKey({ ...strong, n: encode(weak + 2n) }, 'RS256')).toBe(true)
  })
})
