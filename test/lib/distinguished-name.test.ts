import { describe, expect, it } from 'vitest'
import { parseDistinguishedName } from '../../src/lib/distinguished-name.ts'

describe('parseDistinguishedName', () => {
  it.each([
    ['CN=partner', 'cn = partner'],
    ['CN=partner,O=Acme', 'cn=partner , o=Acme'],
    ['CN=a,C=US', '2.5.4.3=a,2.5.4.6=US'],
    ['CN=Acme\\, Inc.', 'CN=Acme\\2C Inc.'],
    ['CN=Zoë', 'CN=Zo\\C3\\AB'],
    ['CN=a+OU=b', 'OU=b + CN=a'],
    ['CN=\\ a', 'CN=\\20a'],
    ['emailAddress=a@b.c', 'E=a@b.c'],
    ['CN=a b', 'CN=a b '],
    ['CN=#0C0161', 'CN=#0c0161'],
  ])('%s is %s', (one, other) => {
    expect(parseDistinguishedName(one)).toBeDefined()
    expect(parseDistinguishedName(other)).toBe(parseDistinguishedName(one))
  })

  it.each([
    ['another value', 'CN=partner', 'CN=partners'],
    ['a value in another case', 'CN=partner', 'CN=Partner'],
    ['one part more', 'CN=partner', 'CN=partner,O=Acme'],
    ['the other order', 'CN=a,O=b', 'O=b,CN=a'],
    ['a comma that is escaped', 'CN=a,O=b', 'CN=a\\,O=b'],
    ['a plus that is escaped', 'CN=a+O=b', 'CN=a\\+O=b'],
    ['an equals sign in a value', 'CN=a', 'CN=a\\=b'],
    ['another type', 'CN=partner', 'OU=partner'],
    ['a NUL behind it', 'CN=partner', 'CN=partner\\00'],
    ['encoded bytes that spell it', 'CN=a', 'CN=#0C0161'],
    ['a text that looks like encoded bytes', 'CN=#0c0161', 'CN=\\#0c0161'],
    ['an escaped space at its end', 'CN=a', 'CN=a\\ '],
    ['a wide letter', 'CN=a', 'CN=\uff41'],
  ])('%s makes another name', (_, one, other) => {
    expect(parseDistinguishedName(one)).toBeDefined()
    expect(parseDistinguishedName(other)).toBeDefined()
    expect(parseDistinguishedName(other)).not.toBe(parseDistinguishedName(one))
  })

  it.each([
    '',
    ' ',
    'partner',
    'CN=a,',
    ',CN=a',
    'CN=a,,O=b',
    'CN=a;O=b',
    'CN="a"',
    '/C=US/CN=a;',
    'CN=a\\',
    'CN=a\\zz',
    'CN=\\C3',
    'CN=\\FF\\FE',
    'CN=a\0',
    '=a',
    '1.=a',
    'CN=<a>',
    'CN=#zz',
    'CN=#0',
    `CN=${'a'.repeat(1025)}`,
  ])('%j is no name', (text) => {
    expect(parseDistinguishedName(text)).toBeUndefined()
  })

  it('takes no long time over spaces', () => {
    const started = performance.now()
    for (const odd of [
      `CN=${' '.repeat(1000)}"`,
      `CN=a${' '.repeat(1000)}"`,
      `CN=${'a '.repeat(500)}"`,
      'C'.repeat(1024),
    ])
      parseDistinguishedName(odd)
    expect(performance.now() - started).toBeLessThan(100)
  })
})
