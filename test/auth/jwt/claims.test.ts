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
