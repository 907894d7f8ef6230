import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Identity } from '../../src/core/exchange.ts'
import { parseRequestAttribute, type RequestAttribute } from '../../src/core/request-attribute.ts'
import { compileTemplate } from '../../src/core/template.ts'
import { compileKey } from '../../src/limits/key.ts'
import { makeTestExchange } from '../support/exchange.ts'

const parts = (...texts: string[]) => texts.map((text) => parseRequestAttribute(text) as RequestAttribute)
const nobody = () => {}

function withIp(ip: string) {
  const x = makeTestExchange()
  return { ...x, client: { ...x.client, ip } }
}

function withIdentity(identity: Partial<Identity>) {
  const none = { provider: 'main', issuer: '', subject: '', scopes: [], roles: [], claims: {} }
  return makeTestExchange(undefined, { identity: { ...none, ...identity } })
}

describe('parseKeyPart', () => {
  it.each([
    ['client.ip', { kind: 'ip' }],
    ['route', { kind: 'route' }],
    ['apiKey.id', { kind: 'apiKey' }],
    ['jwt.sub', { kind: 'jwt', name: 'sub' }],
    ['jwt.https://id.example/tenant', { kind: 'jwt', name: 'https://id.example/tenant' }],
    ['header:X-Tenant', { kind: 'header', name: 'x-tenant' }],
    ['param:id', { kind: 'param', name: 'id' }],
    ['const:jwt.sub', { kind: 'const', name: 'jwt.sub' }],
  ])('reads %s', (text, part) => {
    expect(parseRequestAttribute(text)).toEqual(part)
  })
  it.each([
    '',
    'jwt',
    'jwt.',
    'jwt:sub',
    'header.x',
    'header:',
    'header:a b',
    'const:',
    'client.country',
    'apiKey',
    'apiKey.tier',
    'Route',
  ])('refuses "%s"', (text) => {
    expect(parseRequestAttribute(text)).toBeUndefined()
  })
})

describe('compileKey', () => {
  it('makes different keys of different values, wherever the border between them lies', () => {
    const key = compileKey(['per-user', '1000'], parts('param:a', 'param:b'), nobody)
    const keyOf = (a: string, b: string) => key(makeTestExchange(undefined, { params: { a, b } }))
    const joined = fc.string({ minLength: 2, maxLength: 30, unit: fc.constantFrom('1', '2', ':', 'a', '\0') })
    fc.assert(
      fc.property(joined, (text) => {
        const cuts = Array.from({ length: text.length - 1 }, (_, i) => i + 1)
        const keys = cuts.map((cut) => keyOf(text.slice(0, cut), text.slice(cut)))
        expect(new Set(keys).size).toBe(cuts.length)
      }),
    )
    const words = ['1', ':', 'a', '1:', ':a', 'a:', '1:a', '1:1', '::', 'a:1:a', '3:a:1']
    const pairs = words.flatMap((a) => words.map((b) => keyOf(a, b)))
    expect(new Set(pairs).size).toBe(words.length ** 2)
  })

  it('never mixes two limiters', () => {
    const x = makeTestExchange()
    const keys = [
      compileKey(['a', '1000'], parts('const:b'), nobody)(x),
      compileKey(['a', '1000'], parts('const:b', 'const:b'), nobody)(x),
      compileKey(['ab', '1000'], parts('const:b'), nobody)(x),
      compileKey(['a', '60000'], parts('const:b'), nobody)(x),
    ]
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('shortens what is long', () => {
    const long = makeTestExchange(undefined, { params: { id: 'a'.repeat(10_000) } })
    expect(compileKey(['n', '1000'], parts('param:id'), nobody)(long)).toMatch(/^[0-9a-f]{64}$/)
  })

  it('takes issuer and subject together', () => {
    const key = compileKey(['n', '1000'], parts('jwt.sub'), nobody)
    const one = key(withIdentity({ issuer: 'https://a.example/', subject: '7' }))
    expect(key(withIdentity({ issuer: 'https://b.example/', subject: '7' }))).not.toBe(one)
    expect(key(withIdentity({ issuer: 'https://a.example/', subject: '7' }))).toBe(one)
  })

  it('reads claims that are text, numbers or booleans, and takes all others for missing', () => {
    let missing = 0
    const key = compileKey(['n', '1000'], parts('jwt.tenant'), () => void missing++)
    const keys = ['acme', 7, true].map((tenant) => key(withIdentity({ claims: { tenant } })))
    expect(new Set(keys).size).toBe(3)
    expect(missing).toBe(0)
    const shared = [undefined, null, '', {}, ['acme']].map((tenant) => key(withIdentity({ claims: { tenant } })))
    expect(new Set([...shared, key(makeTestExchange())]).size).toBe(1)
    expect(missing).toBe(6)
    expect(keys).not.toContain(shared[0])
  })

  it('descends at the dots of a claim, as templates and auth do, unless a claim has the whole name', () => {
    const key = compileKey(['n', '1000'], parts('jwt.org.id'), nobody)
    const none = key(withIdentity({ claims: {} }))
    const nested = key(withIdentity({ claims: { org: { id: 'acme' } } }))
    expect(nested).not.toBe(none)
    expect(key(withIdentity({ claims: { org: { id: 'other' } } }))).not.toBe(nested)
    expect(key(withIdentity({ claims: { 'org.id': 'acme', org: { id: 'other' } } }))).toBe(nested)
    expect(
      compileTemplate('{jwt.org.id}').render(withIdentity({ claims: { 'org.id': 'acme', org: { id: 'x' } } })),
    ).toBe('acme')
  })

  it('does not take what every object inherits for a claim', () => {
    const key = compileKey(['n', '1000'], parts('jwt.constructor'), nobody)
    expect(key(withIdentity({ claims: {} }))).toBe(key(makeTestExchange()))
  })

  it.each([
    ['192.0.2.1', '192.0.2.2', false],
    ['192.0.2.1', '192.0.2.1', true],
    ['2001:db8:1:2::1', '2001:db8:1:2:ffff:1:2:3', true],
    ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
    ['2001:db8::1', '2001:db8::2', true],
    ['2001:db8::1', '2001:db8:0:0:1:2:3:4', true],
    ['2001:db8::1:2:3:4:5', '2001:db8:0:1:9::9', true],
    ['2001:db8::1', '2001:db9::1', false],
    ['::1', '::2', true],
    ['::1', '::1:2:3:4:5', false],
    ['1::', '1::5', true],
    // Translated IPv4 (RFC 2765), not a mapped one, whose canonical form is IPv4.
    ['::ffff:0:c000:201', '::ffff:0:c000:202', true],
  ])('%s and %s count together: %s', (one, other, together) => {
    const key = compileKey(['n', '1000'], parts('client.ip'), nobody)
    expect(key(withIp(one)) === key(withIp(other))).toBe(together)
  })
})
