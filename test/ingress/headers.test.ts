import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileHeaderReader, setForwardedHeaders } from '../../src/ingress/headers.ts'

const client = {
  ip: '192.0.2.1',
  forwardedFor: '192.0.2.1, 10.0.0.1',
  scheme: 'https',
  host: 'gw.test',
  country: undefined,
} as const
const read = compileHeaderReader(['X-Auth-Subject'])

function filtered(headers: [string, string][], init: RequestInit = {}) {
  const { forwarded, fault } = read(new Request('https://gw.test/', { ...init, headers }))
  expect(fault).toBeUndefined()
  setForwardedHeaders(forwarded, client)
  return forwarded.headers
}

function refusal(headers: [string, string][]) {
  return read(new Request('https://gw.test/', { headers })).fault
}

describe('compileHeaderReader', () => {
  it('drops hop-by-hop headers and those that Connection names', () => {
    const headers = filtered([
      ['connection', 'close, X-Secret'],
      ['x-secret', '1'],
      ['te', 'trailers'],
      ['keep-alive', 'timeout=5'],
      ['proxy-authorization', 'Basic eA=='],
      ['upgrade', 'h2c'],
      ['accept', 'text/html'],
    ])
    expect(Object.keys(headers)).toEqual(['accept', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'])
  })

  it('judges each value as if it were the first, whatever the same header held before', () => {
    const value = fc.constantFrom('a', 'b', 'a\u0001', '\u007f', 'é', 'x'.repeat(2_000))
    fc.assert(
      fc.property(fc.array(value, { maxLength: 6 }), (values) => {
        const remembering = compileHeaderReader([])
        for (const one of values) {
          const request = new Request('https://gw.test/', { headers: { 'x-note': one } })
          expect(remembering(request)).toEqual(compileHeaderReader([])(request))
          expect(remembering(request).fault).toBe(/^a.$|\u007f/su.test(one) ? 'header-invalid' : undefined)
        }
      }),
    )
  })

  it('drops whatever is between proxies, and what CGI programs take for their own proxy', () => {
    const headers = filtered([
      ['Proxy', 'http://192.0.2.66'],
      ['Proxy-Status', 'x'],
      ['Proxy_Foo', 'x'],
      ['proxyish', 'stays'],
    ])
    expect(Object.keys(headers)).toEqual(['proxyish', 'x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'])
  })

  it.each(['gzip, chunked', 'chunked, chunked', 'identity'])('refuses a body in the transfer coding %s', (coding) => {
    expect(refusal([['transfer-encoding', coding]])).toBe('header-invalid')
    expect(refusal([['transfer-encoding', 'Chunked']])).toBeUndefined()
  })

  it('does not let Connection name what identifies the caller', () => {
    const headers = filtered([
      ['connection', 'Authorization, x-forwarded-for'],
      ['authorization', 'Bearer x'],
    ])
    expect(headers['authorization']).toBe('Bearer x')
    expect(headers['x-forwarded-for']).toBe('192.0.2.1, 10.0.0.1')
  })

  it('drops what would be a proxy’s word on a client certificate', () => {
    const headers = filtered([
      ['Client-Cert', ':MIIB:'],
      ['client_cert', ':MIIB:'],
      ['client-cert-chain', ':MIIB:'],
    ])
    expect(Object.keys(headers)).toEqual(['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'])
  })

  it('rebuilds what says where a request came from', () => {
    const headers = filtered([
      ['x-forwarded-for', '6.6.6.6'],
      ['X-Forwarded-Proto', 'gopher'],
      ['x_forwarded_host', 'evil.test'],
      ['x-forwarded-user', 'root'],
      ['forwarded', 'for=6.6.6.6'],
      ['x-real-ip', '6.6.6.6'],
      ['cf-connecting-ip', '6.6.6.6'],
    ])
    expect(headers).toEqual({
      'x-forwarded-for': '192.0.2.1, 10.0.0.1',
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'gw.test',
    })
  })

  it.each([
    'x-auth-subject',
    'X-AUTH-SUBJECT',
    'x_auth_subject',
    'X-Auth_Subject',
    'x-auth-subject-',
    '-x-auth-subject',
    "X-Auth-Subject'",
    'x--auth-subject',
    'X-_Auth.Subject',
    '_x-auth-subject_',
  ])('drops a client’s %s', (name) => {
    expect(name.toLowerCase() in filtered([[name, 'root']])).toBe(false)
  })

  it.each([
    'Transfer_Encoding',
    'content_length',
    'Transfer--Encoding',
    'Transfer_-Encoding',
    '-Content-Length',
    "Content-Length'",
    '_host',
    'Connection-',
    'transfer-.-encoding',
    'Content-_Length_',
  ])('refuses %s', (name) => {
    expect(refusal([[name, '1']])).toBe('header-invalid')
  })

  it('refuses too many headers and too large ones', () => {
    expect(refusal(Array.from({ length: 101 }, (_, i) => [`x-${i}`, '1']))).toBe('headers-too-large')
    expect(refusal([['x-large', 'a'.repeat(32 * 1024)]])).toBe('headers-too-large')
    // Two bytes for each character.
    expect(refusal([['x-large', 'é'.repeat(17_000)]])).toBe('headers-too-large')
    expect(refusal([['x-large', 'é'.repeat(16_000)]])).toBeUndefined()
    expect(refusal(Array.from({ length: 100 }, (_, i) => [`x-${i}`, '1']))).toBeUndefined()
  })

  it('passes a WebSocket upgrade on a GET, and only there', () => {
    expect(filtered([['upgrade', 'WebSocket']])['upgrade']).toBe('websocket')
    expect('upgrade' in filtered([['upgrade', 'websocket']], { method: 'POST' })).toBe(false)
  })

  it('shows the gateway itself all of them as they came', () => {
    const { all } = read(
      new Request('https://gw.test/', {
        headers: { host: 'a', connection: 'x-a', 'x-a': '1', X_Auth_Subject: 'root', 'x-forwarded-for': '::1' },
      }),
    )
    expect({ ...all }).toEqual({
      host: 'a',
      connection: 'x-a',
      'x-a': '1',
      x_auth_subject: 'root',
      'x-forwarded-for': '::1',
    })
    expect(all['constructor']).toBeUndefined()
  })

  it('judges names alike when it has seen too many to remember them', () => {
    const reader = compileHeaderReader(['x-auth-subject'])
    const of = (names: string[]) =>
      reader(new Request('https://gw.test/', { headers: names.map((name) => [name, '1']) }))
    for (let nth = 0; nth < 1_100; nth += 50) of(Array.from({ length: 50 }, (_, i) => `x-${nth + i}`))
    expect(of(['x_auth_subject', 'te', 'x-own']).forwarded.headers).toEqual({ 'x-own': '1' })
    expect(of(['content_length']).fault).toBe('header-invalid')
  })

  it('takes every spelling with other delimiters for the same name', () => {
    const delimiters = fc.stringMatching(/^[!#$%&'*+\-.^_`|~]{1,3}$/)
    const edge = fc.oneof(fc.constant(''), delimiters)
    fc.assert(
      fc.property(edge, delimiters, delimiters, edge, (before, first, second, after) => {
        const name = `${before}x${first}auth${second}subject${after}`
        expect(Object.keys(filtered([[name, 'root']]))).not.toContain(name)
        const alias = `${before}content${first}length${after}`
        if (alias !== 'content-length') expect(refusal([[alias, '1']])).toBe('header-invalid')
      }),
    )
  })

  it('joins lines of Cookie with a semicolon, and those of any other header with a comma', () => {
    const lines = (name: string) => [
      [name, 'sid=abc; a=1'] as [string, string],
      [name, 'theme=dark'] as [string, string],
    ]
    expect(filtered([...lines('Cookie'), ...lines('X-Note')])).toMatchObject({
      cookie: 'sid=abc; a=1; theme=dark',
      'x-note': 'sid=abc; a=1, theme=dark',
    })
  })

  it('joins any cookies so that each is one pair again, and keeps a comma within a value', () => {
    const token = fc.stringMatching(/^[!#$%&'*+\-.^_`|~\w]{1,8}$/)
    // RFC 6265 §4.1.1: no control characters, white space, quotes, comma, semicolon or backslash.
    const value = fc.stringMatching(/^[!#-+\--:<-[\]-~]{0,12}$/)
    const line = fc.array(fc.tuple(token, value), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(fc.array(line, { minLength: 1, maxLength: 4 }), (lines) => {
        const texts = lines.map((pairs) => pairs.map(([name, text]) => `${name}=${text}`).join('; '))
        const { cookie } = filtered(texts.map((text) => ['cookie', text]))
        expect(cookie).toBe(texts.join('; '))
      }),
    )
    for (const kept of ['a=Thu, 01 Jan 2026', 'a=1,2', 'a={"x": 1, "y": 2}', 'a=b,c=d'])
      expect(filtered([['cookie', kept]])['cookie']).toBe(kept)
  })

  it('passes every other header as it came', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,20}$/).map((text) => `y-${text}`)
    const value = fc.stringMatching(/^[!-~]([ -~]{0,40}[!-~])?$/)
    fc.assert(
      fc.property(fc.dictionary(name, value, { maxKeys: 10 }), (sent) => {
        expect(filtered(Object.entries(sent))).toMatchObject(sent)
      }),
    )
  })
})
