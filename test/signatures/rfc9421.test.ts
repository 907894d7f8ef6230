import { describe, expect, it } from 'vitest'
import { verifyBase, type SignatureAlgorithm } from '../../src/signatures/algorithm.ts'
import { componentValue, type Component, type Message } from '../../src/signatures/component.ts'
import { signatureBase } from '../../src/signatures/message.ts'
import { findSignature } from '../../src/signatures/signature-input.ts'
import { publishedKey, TRANSFORM, VECTORS } from './rfc9421.ts'

async function accepts(alg: SignatureAlgorithm, input: string, signature: string, message: Message): Promise<boolean> {
  const claim = findSignature(input, signature, () => true)
  if (typeof claim === 'string') return false
  const base = signatureBase(claim.components, claim.parameters, message)
  if (base === undefined) return false
  return verifyBase(alg, await publishedKey(claim.keyid, alg), claim.signature, base)
}

/** `text` with its `at`-th byte changed by its lowest bit, which keeps it printable and its letters letters. */
const changed = (text: string, at: number) =>
  text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ 1) + text.slice(at + 1)

/** The message with what `component` covers replaced. */
function withValue(message: Message, component: Component, value: string): Message {
  switch (component.name) {
    case '@method':
      return { ...message, method: value }
    case '@path':
      return { ...message, path: value }
    case '@query':
      return { ...message, search: value }
    case '@query-param':
      return { ...message, search: message.search.replace('dog', value) }
    case '@authority':
      return { ...message, authority: value }
    case '@status':
      return { ...message, status: Number(value) }
    default:
      return { ...message, field: (name) => (name === component.name ? value : message.field(name)) }
  }
}

describe.each(VECTORS)('RFC 9421 $section', ({ alg, message, input, signature }) => {
  it('is accepted', async () => {
    expect(await accepts(alg, input, signature, message)).toBe(true)
  })

  it('is refused with any one byte of any covered component changed', async () => {
    const claim = findSignature(input, signature, () => true)
    if (typeof claim === 'string') throw new Error(claim)
    for (const component of claim.components) {
      const value = componentValue(component, message)!
      const step = value.length > 100 ? 37 : 1
      for (let at = 0; at < value.length; at += step) {
        const forged = withValue(message, component, changed(value, at))
        expect(await accepts(alg, input, signature, forged), `${component.id} ${at}`).toBe(false)
      }
    }
  })

  it('is refused with any one byte of its own fields changed', async () => {
    for (let at = 0; at < input.length; at++) {
      // The keyid chooses the key, and nothing else.
      if (at > input.indexOf('keyid="') && at < input.indexOf('"', input.indexOf('keyid="') + 7)) continue
      // A label is its sender's choice, but must be the same in both fields.
      expect(await accepts(alg, changed(input, at), signature, message), `input ${at}`).toBe(false)
    }
    for (let at = 0; at < signature.length; at += signature.length > 200 ? 7 : 1) {
      expect(await accepts(alg, input, changed(signature, at), message), `signature ${at}`).toBe(false)
    }
  })
})

describe('RFC 9421 B.4', () => {
  const verdict = (message: Message) => accepts('ed25519', TRANSFORM.input, TRANSFORM.signature, message)

  it.each(Object.entries(TRANSFORM.good))('survives a message %s', async (_, message) => {
    expect(await verdict(message)).toBe(true)
  })

  it.each(Object.entries(TRANSFORM.bad))('does not survive a message %s', async (_, message) => {
    expect(await verdict(message)).toBe(false)
  })
})
