import { describe, expect, it } from 'vitest'
import { parseCompactJws } from '../../../src/auth/jwt/compact-jws.ts'

const part = (text: string) => btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
const token = (header: string, claims = '{"iss":"i"}', signature = 'c2ln') =>
  `${part(header)}.${part(claims)}.${signature}`
const ALG = '"alg":"ES256"'

describe('parseCompactJws', () => {
  it.each([
    [`{${ALG},"kid":"k","typ":"JWT"}`, 'k'],
    [`{${ALG},"typ":"at+jwt"}`, undefined],
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
    ...['crit', 'b64', 'jku', 'x5u', 'x5c', 'jwk', 'zip', 'enc'].map((name) => [name, `{${ALG},"${name}":"x"}`]),
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
    ['8 KiB', token(`{${ALG}}`, JSON.stringify({ iss: 'i'.repeat(6200) }))],
  ])('refuses %s', (_, text) => {
    expect(parseCompactJws(text)).toBeUndefined()
  })

  it('takes a canonical last character of each length', () => {
    for (const signature of ['c2ln', 'c2lnbg', 'c2lnbgE'])
      expect(parseCompactJws(token(`{${ALG}}`, '{}', signature))).toBeDefined()
  })
})
