import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hash32 } from '../../src/lib/hash.ts'

describe('hash32', () => {
  it('never changes: what was hashed before a release is hashed alike after it', () => {
    // Published vectors of MurmurHash3 x86_32 (aappleby/smhasher), and one text beyond ASCII.
    expect([hash32(''), hash32('', 1), hash32('test'), hash32('Hello, world!')]).toEqual([
      0, 0x514e28b7, 0xba6bd213, 0xc0363e43,
    ])
    expect([hash32('aaaa', 0x9747b28c), hash32('Ærøskøbing – 東京', 2 ** 32 - 1)]).toEqual([0x5a97808a, 0x955f5684])
  })

  it('gives 32 bits, the same ones for the same text and seed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.nat(2 ** 32 - 1), (text, seed) => {
        const hash = hash32(text, seed)
        return Number.isInteger(hash) && hash >= 0 && hash < 2 ** 32 && hash === hash32(text, seed)
      }),
    )
  })

  it('takes a length for a length: zeros before or behind a text make another text', () => {
    const texts = ['', '\0', '\0\0', 'a', 'a\0', '\0a', 'a\0\0']
    expect(new Set(texts.map((text) => hash32(text))).size).toBe(texts.length)
  })

  it('changes about half of its bits with one bit of the text or the seed', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.nat(2 ** 32 - 1), fc.nat(6), (text, seed, bit) => {
        const near = String.fromCharCode(text.charCodeAt(0) ^ (1 << bit)) + text.slice(1)
        const flips = [hash32(near, seed), hash32(text, (seed ^ (1 << bit)) >>> 0)].map((hash) =>
          ones(hash ^ hash32(text, seed)),
        )
        return flips.every((flipped) => flipped >= 3 && flipped <= 29)
      }),
    )
  })
})

function ones(bits: number): number {
  let count = 0
  for (let rest = bits >>> 0; rest > 0; rest >>>= 1) count += rest & 1
  return count
}
