import { describe, expect, it } from 'vitest'
import { componentValue } from '../../src/signatures/component.ts'
import { normalAuthority, signatureBase } from '../../src/signatures/message.ts'
import { findSignature } from '../../src/signatures/signature-input.ts'
import { makeMessage } from './rfc9421.ts'

const SIGNATURE = 's=:AA==:'
const claimOf = (covered: string, parameters = ';keyid="k"') =>
  findSignature(`s=(${covered})${parameters}`, SIGNATURE, (keyid) => keyid === 'k')

const plain = makeMessage(
  'POST',
  'https://www.example.com/path?param=value&foo=bar&baz=batman&qux=&var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace&fa%C3%A7ade%22%3A%20=something&twice=1&twice=2&bytes=%FF',
  [
    ['Host', 'www.example.com'],
    ['Cache-Control', 'max-age=60'],
    ['Cache-Control', '   must-revalidate'],
    ['Example-Dict', ' a=1,    b=2;x=1;y=2,   c=(a   b   c), d'],
    ['Priority', 'u=1,   i'],
    ['X-Empty', ''],
    ['Example-Header', 'value, with, lots'],
  ],
)

/** The runtime shows a header's bytes as text, beyond ASCII too. */
const odd: Record<string, string> = { latin: 'caf\u00e9', spaced: ' a\u00a0' }
const message = { ...plain, field: (name: string) => odd[name] ?? plain.field(name) }

/** [identifier, value]; RFC 9421 §2, most of them its own examples. */
const VALUES: [string, string | undefined][] = [
  ['"@method"', 'POST'],
  ['"@scheme"', 'https'],
  ['"@authority"', 'www.example.com'],
  ['"@path"', '/path'],
  ['"@query-param";name="baz"', 'batman'],
  ['"@query-param";name="qux"', ''],
  ['"@query-param";name="param"', 'value'],
  ['"@query-param";name="var"', 'this%20is%20a%20big%0Amultiline%20value'],
  ['"@query-param";name="bar"', 'with%20plus%20whitespace'],
  ['"@query-param";name="fa%C3%A7ade%22%3A%20"', 'something'],
  ['"@query-param";name="twice"', undefined],
  ['"@query-param";name="none"', undefined],
  ['"@status"', undefined],
  ['"cache-control"', 'max-age=60, must-revalidate'],
  ['"example-dict"', 'a=1,    b=2;x=1;y=2,   c=(a   b   c), d'],
  ['"example-dict";key="a"', '1'],
  ['"example-dict";key="b"', '2;x=1;y=2'],
  ['"example-dict";key="d"', '?1'],
  ['"example-dict";key="e"', undefined],
  ['"example-dict";sf', undefined],
  ['"priority";sf', 'u=1, i'],
  ['"example-header";bs', ':dmFsdWUsIHdpdGgsIGxvdHM=:'],
  ['"x-empty"', ''],
  ['"missing"', undefined],
  ['"cache-control";tr', undefined],
  ['"spaced"', undefined],
  ['"@query-param";name="bytes"', undefined],
  ['"latin"', undefined],
]

describe('a component', () => {
  it.each(VALUES)('%s is %j', (identifier, value) => {
    const claim = claimOf(identifier)
    if (typeof claim === 'string') throw new Error(claim)
    expect(componentValue(claim.components[0]!, message)).toBe(value)
  })

  it('keeps the query and the path as they were sent', () => {
    const raw = { ...message, path: '/%7Euser/%2e', search: '?' }
    const values = ['"@path"', '"@query"', '"@request-target"', '"@target-uri"'].map((identifier) => {
      const claim = claimOf(identifier)
      return typeof claim === 'string' ? claim : componentValue(claim.components[0]!, raw)
    })
    expect(values).toEqual(['/%7Euser/%2e', '?', '/%7Euser/%2e?', 'https://www.example.com/%7Euser/%2e?'])
  })

  it('has an authority in lower case, without the scheme’s own port', () => {
    expect(normalAuthority('WWW.Example.COM:443', 'https')).toBe('www.example.com')
    expect(normalAuthority('example.com:443', 'http')).toBe('example.com:443')
    expect(normalAuthority('[2001:DB8::1]:80', 'http')).toBe('[2001:db8::1]')
  })

  it.each([
    ['', '"@method" "@path" "@method"'],
    // RFC 9421 §2: the order of parameters does not make another component.
    [', its parameters in another order', '"example-dict";sf;key="a" "example-dict";key="a";sf'],
  ])('cannot be covered twice%s', (_, covered) => {
    const claim = claimOf(covered)
    if (typeof claim === 'string') throw new Error(claim)
    expect(signatureBase(claim.components, claim.parameters, message)).toBeUndefined()
  })
})

describe('Signature-Input', () => {
  it.each([
    ['no component list', 's=1;keyid="k"'],
    ['a component that is no string', 's=(method);keyid="k"'],
    ['a field in upper case', 's=("Date");keyid="k"'],
    ['an unknown derived component', 's=("@body");keyid="k"'],
    ['an unknown parameter of a component', 's=("date";x);keyid="k"'],
    ['a parameter of the request that is answered', 's=("@method";req);keyid="k"'],
    ['a name where there is none', 's=("@path";name="a");keyid="k"'],
    ['a query parameter without its name', 's=("@query-param");keyid="k"'],
    ['bytes and a value at once', 's=("priority";bs;sf);keyid="k"'],
    ['an unknown parameter', 's=("date");keyid="k";x=1'],
    ['a parameter that comes twice', 's=("date");created=1;created=2;keyid="k"'],
    ['a label that comes twice', 's=("date");keyid="k", s=("host");keyid="k"'],
    ['a time that is a text', 's=("date");created="1";keyid="k"'],
    ['a time that is no integer', 's=("date");created=1.5;keyid="k"'],
    ['a time that is a date', 's=("date");created=@1;keyid="k"'],
    ['a time before the epoch', 's=("date");created=-1;keyid="k"'],
    ['a number with a zero in front', 's=("date");created=01;keyid="k"'],
    ['an empty nonce', 's=("date");keyid="k";nonce=""'],
    ['a nonce of 257 characters', `s=("date");keyid="k";nonce="${'n'.repeat(257)}"`],
    ['33 components', `s=(${Array.from({ length: 33 }, (_, i) => `"f${i}"`).join(' ')});keyid="k"`],
    ['another label than Signature', 't=("date");keyid="k"'],
    ['a label more than Signature', 's=("date");keyid="k", t=("date");keyid="k"'],
    ['a final comma', 's=("date");keyid="k",'],
    ['nothing in it', ''],
    ['more than 8 KiB', `s=("date");keyid="k";tag="${'t'.repeat(8192)}"`],
  ])('is malformed with %s', (_, input) => {
    expect(findSignature(input, SIGNATURE, (keyid) => keyid === 'k')).toBe('malformed')
  })

  it.each([
    ['no byte sequence', 's="AA=="'],
    ['base64 that is not canonical', 's=:AB==:'],
    ['base64 without its padding', 's=:AA:'],
    ['a label that comes twice', 's=:AA==:, s=:AQ==:'],
  ])('is malformed beside a Signature with %s', (_, signature) => {
    expect(findSignature('s=("date");keyid="k"', signature, (keyid) => keyid === 'k')).toBe('malformed')
  })

  it('names the first key that is known; what others have in theirs is their own affair', () => {
    const input = 'a=("x";y);keyid="p";z, b=("date");keyid="k";created=1, c=("host");keyid="k"'
    const claim = findSignature(input, 'a=:AA==:, b=:AQ==:,c=:Ag==:', (keyid) => keyid === 'k')
    expect(claim).toMatchObject({ parameters: '("date");keyid="k";created=1', signature: new Uint8Array([1]) })
  })

  it('is unknown when no key is', () => {
    expect(findSignature('s=("date");keyid="p"', SIGNATURE, () => false)).toBe('unknown')
    expect(findSignature('s=("date")', SIGNATURE, () => true)).toBe('unknown')
  })
})
