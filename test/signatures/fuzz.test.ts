import fc from 'fast-check'
import { expect, it } from 'vitest'
import { importMaterial, verifyBase } from '../../src/signatures/algorithm.ts'
import type { Message } from '../../src/signatures/component.ts'
import { matchesContentDigest } from '../../src/signatures/content-digest.ts'
import { signatureBase, signMessage } from '../../src/signatures/message.ts'
import { findSignature } from '../../src/signatures/signature-input.ts'
import { parseStrictDictionary } from '../../src/signatures/structured-field.ts'

const secret = 'a secret of at least thirty-two bytes'
const known = () => true

/** Pieces of what parsers look for, put together at random: far more often almost right than random text is. */
const scraps = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        'sig1',
        '=',
        '(',
        ')',
        '"@method"',
        '"',
        '\\',
        ';',
        ',',
        ' ',
        '\t',
        ':',
        'AA==',
        '?1',
        '@1',
        '%"',
        'created',
        '1',
        '-',
        '.',
        'keyid="k"',
        '"date"',
        '*',
        '\u00e9',
        '\0',
      ),
      fc.string({ maxLength: 4 }),
    ),
    { maxLength: 40 },
  )
  .map((parts) => parts.join(''))

it('never throws, whatever the two fields are', () => {
  fc.assert(
    fc.property(scraps, scraps, (input, signature) => {
      const claim = findSignature(input, signature, known)
      expect(typeof claim === 'object' || claim === 'malformed' || claim === 'unknown').toBe(true)
    }),
    { numRuns: 3_000 },
  )
})

it('never rejects, whatever a Content-Digest is, and takes none that is not right', async () => {
  const body = new TextEncoder().encode('{"hello": "world"}')
  await fc.assert(
    fc.asyncProperty(scraps, async (field) => {
      expect(await matchesContentDigest(`sha-256=${field}`, body)).toBe(false)
    }),
    { numRuns: 1_000 },
  )
})

it('reads a dictionary only in a spelling that nobody can read in another way', () => {
  const field = fc.constantFrom('a', 'b', 'c').chain((key) => fc.nat(9).map((value) => `${key}=${value}`))
  fc.assert(
    fc.property(fc.array(field, { minLength: 1, maxLength: 4 }), fc.constantFrom(', ', ',', ' ,\t'), (parts, comma) => {
      const keys = new Set(parts.map((part) => part[0]))
      const found = parseStrictDictionary(parts.join(comma))
      expect(found?.size).toBe(keys.size === parts.length ? parts.length : undefined)
    }),
    { numRuns: 500 },
  )
})

const COMPONENTS = [
  '@method',
  '@target-uri',
  '@authority',
  '@scheme',
  '@request-target',
  '@path',
  '@query',
  'x-a',
  'x-b',
]

const messages: fc.Arbitrary<Message & { readonly fields: Record<string, string> }> = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'PUT'),
    scheme: fc.constantFrom('http' as const, 'https' as const),
    authority: fc.constantFrom('a.test', 'b.test:8080'),
    path: fc.stringMatching(/^\/[a-z%]{0,8}$/),
    search: fc.stringMatching(/^(\?[a-z=&]{0,8})?$/),
    fields: fc.record({ 'x-a': fc.stringMatching(/^[ -~]{0,12}$/), 'x-b': fc.stringMatching(/^[ -~]{0,12}$/) }),
  })
  .map((parts) => ({ ...parts, field: (name) => (parts.fields as Record<string, string>)[name] }))

it('accepts what it signed, and of any other message only one with the same covered values', async () => {
  const key = (await importMaterial('hmac-sha256', { secret }))!
  await fc.assert(
    fc.asyncProperty(messages, messages, fc.subarray(COMPONENTS), async (message, other, components) => {
      const fields = await signMessage(message, {
        keyid: 'k',
        alg: 'hmac-sha256',
        key,
        components,
        created: 1,
        expires: 2,
        nonce: 'n',
      })
      const claim = findSignature(fields['signature-input'], fields.signature, known)
      if (typeof claim === 'string') throw new Error(claim)
      const baseOf = (of: Message) => signatureBase(claim.components, claim.parameters, of)
      expect(await verifyBase('hmac-sha256', key, claim.signature, baseOf(message)!)).toBe(true)
      const [own, others] = [baseOf(message), baseOf(other)]
      const same = await verifyBase('hmac-sha256', key, claim.signature, others!)
      expect(same).toBe(own === others)
    }),
    { numRuns: 300 },
  )
})
