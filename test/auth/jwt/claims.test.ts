import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { claimNames, claimTexts } from '../../../src/auth/jwt/compact-jws.ts'
import { compileClaimPath } from '../../../src/core/request-attribute.ts'

describe('compileClaimPath', () => {
  const claims = JSON.parse(
    '{"a":{"b":1},"https://id.test/roles":["x"],"a.c":2,"__proto__":{"admin":true},"n":null,"s":"text"}',
  ) as Record<string, unknown>

  it.each([
    ['a.b', 1],
    ['a.c', 2],
    ['https://id.test/roles', ['x']],
    ['__proto__.admin', true],
    ['admin', undefined],
    ['constructor.name', undefined],
    ['toString', undefined],
    ['n.x', undefined],
    ['s.length', undefined],
  ])('%s → %j', (path, expected) => {
    expect(compileClaimPath(path)(claims)).toEqual(expected)
  })

  const dotted = {
    resource_access: { 'app.example.com': { roles: ['admin'] }, app: { 'example.com': { roles: ['shadowed'] } } },
    'https://example.com/claims': { roles: ['editor'], 'x.y': 1 },
    'a.b': { c: 1 },
    a: { b: { c: 2, d: 3 } },
  }

  it.each<[string | string[], unknown]>([
    ['resource_access.app.example.com.roles', ['admin']],
    ['https://example.com/claims.roles', ['editor']],
    ['https://example.com/claims.x.y', 1],
    ['a.b.c', 1],
    ['a.b.d', 3],
    ['a.b.e', undefined],
    [['https://example.com/claims', 'roles'], ['editor']],
    [['resource_access', 'app.example.com', 'roles'], ['admin']],
    [['resource_access', 'app', 'example.com', 'roles'], ['shadowed']],
    [['a', 'b', 'c'], 2],
    [['a.b', 'c'], 1],
    [['a.b.c'], undefined],
    [['resource_access.app.example.com.roles'], undefined],
    [['a', 'constructor'], undefined],
    [['__proto__'], undefined],
  ])('%j of names with dots → %j', (path, expected) => {
    expect(compileClaimPath(path)(dotted)).toEqual(expected)
  })

  const name = fc.string({ minLength: 1, maxLength: 6, unit: fc.constantFrom('a', 'b', '.', '/', '__proto__') })
  const names = fc.array(name, { minLength: 1, maxLength: 5 })
  const nest = (path: readonly string[], leaf: unknown) =>
    path.reduceRight<unknown>((inner, key) => Object.fromEntries([[key, inner]]), leaf) as Record<string, unknown>

  it('reads the one claim of a payload by its names, as an array and joined by dots', () => {
    fc.assert(
      fc.property(names, fc.jsonValue(), (path, leaf) => {
        expect(compileClaimPath(path)(nest(path, leaf))).toEqual(leaf)
        expect(compileClaimPath(path.join('.'))(nest(path, leaf))).toEqual(leaf)
      }),
    )
  })

  it('prefers the claim whose own name is longer', () => {
    fc.assert(
      fc.property(names, names, (outer, inner) => {
        const long = outer.join('.')
        const claims = { ...nest([...outer, ...inner], 'short'), ...nest([long, inner.join('.')], 'long') }
        expect(compileClaimPath([long, ...inner].join('.'))(claims)).toBe('long')
      }),
    )
  })
})

describe('lists of names', () => {
  it('cuts a string of scopes at its spaces, but a role may hold one', () => {
    expect(claimTexts(' a  b ')).toEqual(['a', 'b'])
    expect(claimNames('not admin')).toEqual(['not admin'])
  })

  it.each([[undefined], [null], [7], [{ a: 'b' }], [true]])('finds none in %j', (value) => {
    expect(claimTexts(value)).toEqual([])
    expect(claimNames(value)).toEqual([])
  })

  it('leaves out what is no string', () => {
    expect(claimTexts(['a b', 1, null, ['c']])).toEqual(['a b'])
  })
})
