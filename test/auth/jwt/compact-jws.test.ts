import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseCompactJws, parseJsonObject } from '../../../src/auth/jwt/compact-jws.ts'

const part = (text: string) => btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
const token = (header: string, claims = '{"iss":"i"}', signature = 'c2ln') =>
  `${part(header)}.${part(claims)}.${signature}`
const ALG = '"alg":"ES256"'

describe('parseCompactJws', () => {
  it.each([
    [`{${ALG},"kid":"k","typ":"JWT"}`, 'k'],
    [`{${ALG},"typ":"at+jwt"}`, undefined],
    [`{${ALG},"jku":"https://uaa.test/token_keys","x5u":"https://uaa.test/c","kid":"k"}`, 'k'],
    [`{${ALG},"typ":"application/AT+JWT","x5t":"abc","nonce":"a:b\\":{"}`, undefined],
  ])('reads %s', (header, kid) => {
    expect(parseCompactJws(token(header))).toMatchObject({ alg: 'ES256', kid, issuer: 'i' })
  })

  it.each([
    ['no alg', '{"typ":"JWT"}'],
    ['alg is a number', '{"alg":256}'],
    ['kid is an array', `{${ALG},"kid":["k"]}`],
    ['kid is null', `{${ALG},"kid":null}`],
    ['another typ', `{${ALG},"typ":"logout+jwt"}`],
    ['typ is an object', `{${ALG},"typ":{}}`],
    ['a name twice', `{${ALG},"alg":"none"}`],
    ['a name twice, once escaped', `{${ALG},"al\\u0067":"none"}`],
    ['a name twice, deep', `{${ALG},"x":{"a":1,"a":2}}`],
    ...['crit', 'b64', 'x5c', 'jwk', 'zip', 'enc'].map((name) => [name, `{${ALG},"${name}":"x"}`]),
    ['an array', '["alg"]'],
    ['null', 'null'],
    ['text after it', `{${ALG}} `.padEnd(40, 'x')],
    ['a byte order mark', `\u00ef\u00bb\u00bf{${ALG}}`],
    ['no UTF-8', `{${ALG},"kid":"\u00ff"}`],
    ['2 KiB', `{${ALG},"kid":"${'k'.repeat(2000)}"}`],
  ])('refuses a header with %s', (_, header) => {
    expect(parseCompactJws(token(header!))).toBeUndefined()
  })

  it.each([
    ['two parts', 'e30.e30'],
    ['four parts', `${token(`{${ALG}}`)}.e30`],
    ['an empty signature', token(`{${ALG}}`, '{}', '')],
    ['an empty payload', `${part(`{${ALG}}`)}..c2ln`],
    ['padding', token(`{${ALG}}`, '{}', 'c2lnbg==')],
    ['a space', token(`{${ALG}}`, '{}', 'c2 ln')],
    ['a line end', `${token(`{${ALG}}`)}\n`],
    ['the other alphabet', token(`{${ALG}}`, '{}', 'c2l+')],
    ['a loose last character', token(`{${ALG}}`, '{}', 'c2lnbh')],
    ['a lone last character', token(`{${ALG}}`, '{}', 'c2lnb')],
    ['claims that are a list', token(`{${ALG}}`, '[]')],
    ['claims that are no JSON', token(`{${ALG}}`, 'x')],
    ['a claim twice', token(`{${ALG}}`, '{"exp":1,"exp":4102444800}')],
    ['a claim twice, deep', token(`{${ALG}}`, '{"a":[{"b":1,"\\u0062":2}]}')],
  ])('refuses %s', (_, text) => {
    expect(parseCompactJws(text)).toBeUndefined()
  })

  it('takes a canonical last character of each length', () => {
    for (const signature of ['c2ln', 'c2lnbg', 'c2lnbgE'])
      expect(parseCompactJws(token(`{${ALG}}`, '{}', signature))).toBeDefined()
  })
})

describe('parseJsonObject', () => {
  it('gives every object whose names differ as JSON.parse does, whatever its strings hold', () => {
    const members = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 5 }))
    const texts = members.map((value) => JSON.stringify(value))
    fc.assert(
      fc.property(texts, (text) => {
        expect(parseJsonObject(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  it('gives none in which a name stands twice, at any depth', () => {
    const name = fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text))
    const value = fc.json({ maxDepth: 3 })
    const wrap = fc.constantFrom<(text: string) => string>(
      (text) => text,
      (text) => `{"a":${text}}`,
      (text) => `{"a":[0,{"b":":"},${text}]}`,
    )
    const repeated = fc
      .tuple(name, value, value, wrap)
      .map(([key, first, second, inside]) => inside(`{${key}:${first},${key} : ${second}}`))
    fc.assert(fc.property(repeated, (text) => parseJsonObject(text) === undefined))
  })

  it.each(['', 'x', '1', 'null', '[]', '{"a":1}x', `{"a":${'['.repeat(65)}${']'.repeat(65)}}`])(
    'gives none in %s',
    (text) => {
      expect(parseJsonObject(text)).toBeUndefined()
    },
  )
})
