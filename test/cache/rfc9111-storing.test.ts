import { describe, expect, it } from 'vitest'
import { storedHeaders } from '../../src/cache/http/storable.ts'
import { CAME, httpDate, refusal } from './stored.ts'

const names = (headers: Record<string, string>) =>
  storedHeaders(new Headers({ date: httpDate(CAME), ...headers }), CAME).map(([name]) => name)

describe('RFC 9111 §3 storing', () => {
  it.each(['HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'get'])(
    'stores no answer to %s: only GET is understood',
    (method) => expect(refusal({ 'cache-control': 'max-age=60' }, { method })).toBe('method'),
  )

  it.each([100, 102, 103, 199, 206, 304, 412, 416, 600, 999])('never stores the status %i', (status) =>
    expect(refusal({ 'cache-control': 'public, max-age=60' }, { status })).toBe('status'),
  )

  it.each([200, 203, 204, 300, 301, 308, 404, 410])('stores the status %i without a word of the origin', (status) =>
    expect(refusal({}, { status })).toBeUndefined(),
  )

  it.each([201, 302, 303, 307, 400, 401, 403, 405, 414, 429, 451, 500, 501, 502, 503, 504, 599])(
    'stores the status %i only when the origin gives it a life',
    (status) => {
      expect(refusal({}, { status })).toBe('no-life')
      for (const cacheControl of ['public', 'max-age=1', 's-maxage=1'])
        expect(refusal({ 'cache-control': cacheControl }, { status })).toBeUndefined()
      expect(refusal({ expires: httpDate(CAME) }, { status })).toBeUndefined()
    },
  )

  it.each([
    'no-store',
    'NO-STORE',
    'No-Store',
    'max-age=60,no-store',
    'public, no-store',
    'no-store=1',
    ' ,, no-store',
  ])('does not store with %s', (cacheControl) => expect(refusal({ 'cache-control': cacheControl })).toBe('no-store'))

  it.each(['private', 'Private, max-age=60', 'public, private', 'private=true', 'private=x-user', 'private=""'])(
    'is shared, and does not store with %s',
    (cacheControl) => expect(refusal({ 'cache-control': cacheControl })).toBe('private'),
  )

  it('never stores an answer with Set-Cookie, whatever allows it', () => {
    const headers = { 'set-cookie': 'a=1', 'cache-control': 'public, max-age=60, private="set-cookie"' }
    expect(refusal(headers)).toBe('set-cookie')
  })

  it.each(['*', 'accept, *', '*, accept', 'not a name'])('does not store with Vary: %s (§4.1)', (vary) =>
    expect(refusal({ vary })).toBe('vary'),
  )
})

describe('RFC 9111 §3.1 fields', () => {
  it('keeps unknown fields', () => expect(names({ 'x-new': '1', etag: '"a"' })).toEqual(['date', 'etag', 'x-new']))

  it('leaves out fields of the connection, those that Connection names, and Set-Cookie', () => {
    const ofHop = [
      'keep-alive',
      'proxy-authenticate',
      'proxy-authentication-info',
      'proxy-authorization',
      'te',
      'trailer',
    ]
    const headers = Object.fromEntries(['x-hop', 'upgrade', ...ofHop].map((name) => [name, 'x']))
    expect(names({ ...headers, connection: 'X-Hop, close', 'set-cookie': 'a=1' })).toEqual(['date'])
  })

  it('keeps Proxy-Status and Content-Length', () =>
    expect(names({ 'proxy-status': 'a', 'content-length': '1' })).toEqual(['content-length', 'date', 'proxy-status']))

  it.each(['connection', 'cache-control'])('does not let %s take away what says how long it lives', (by) => {
    const list = 'cache-control, expires, vary, age, date'
    const headers = { 'cache-control': 'max-age=1', expires: '0', vary: 'a', age: '1' }
    const named = by === 'connection' ? { connection: list } : { 'cache-control': `private="${list}"` }
    expect(names({ ...headers, ...named })).toEqual(['age', 'cache-control', 'date', 'expires', 'vary'])
  })

  it('adds a Date where there is none (RFC 9110 §6.6.1)', () =>
    expect(storedHeaders(new Headers(), CAME)).toEqual([['date', httpDate(CAME)]]))
})

describe('RFC 9111 §3.5 Authorization', () => {
  const request = { authorization: 'Bearer a' }

  it.each([
    '',
    'max-age=60',
    'proxy-revalidate',
    'immutable',
    's-maxage=x',
    's-maxage',
    's-maxage=1, s-maxage=2',
    'public=no',
  ])('does not share the answer to an authorized request with "%s"', (cacheControl) =>
    expect(refusal({ 'cache-control': cacheControl }, { request })).toBe('authorization'),
  )

  it.each(['public', 's-maxage=0', 'S-MaxAge=60', 'must-revalidate', 's-maxage="5"'])('does with %s', (cacheControl) =>
    expect(refusal({ 'cache-control': cacheControl }, { request })).toBeUndefined(),
  )

  it('wants public or s-maxage when the gateway knows the caller and the key does not', () => {
    expect(refusal({ 'cache-control': 'max-age=60, must-revalidate' }, { authenticated: true })).toBe('authorization')
    expect(refusal({ 'cache-control': 'max-age=60, public' }, { authenticated: true })).toBeUndefined()
  })

  it('keeps it for its own caller when the caller is in the key, but nothing private', () => {
    expect(refusal({}, { request, authenticated: true, identityInKey: true })).toBeUndefined()
    expect(refusal({ 'cache-control': 'private' }, { request, identityInKey: true })).toBe('private')
  })
})

describe('RFC 9111 §5.2', () => {
  it('§5.2.1.5: stores no answer to a request with no-store', () => {
    expect(refusal({ 'cache-control': 'public' }, { request: { 'cache-control': 'No-Store' } })).toBe(
      'request-no-store',
    )
  })

  it('§5.2.2.3: must-understand stands above no-store for a status that is understood', () => {
    expect(refusal({ 'cache-control': 'no-store, must-understand, max-age=9' })).toBeUndefined()
    expect(refusal({ 'cache-control': 'no-store, must-understand, max-age=9' }, { status: 599 })).toBe('status')
    expect(refusal({ 'cache-control': 'must-understand, max-age=9' }, { status: 299 })).toBe('status')
  })

  it.each(['no-cache', 'private'])('§5.2.2.4, §5.2.2.7: %s with a list keeps only these fields out', (directive) => {
    const headers = { 'cache-control': `${directive}="X-User, x-b"`, 'x-user': 'a', 'x-b': 'b', 'x-c': 'c' }
    expect(refusal(headers)).toBeUndefined()
    expect(names(headers)).toEqual(['cache-control', 'date', 'x-c'])
  })

  it('§5.4: Pragma says nothing in an answer', () => expect(refusal({ pragma: 'no-cache' })).toBeUndefined())
})
