import { parseList } from 'structured-headers'
import { describe, expect, it } from 'vitest'
import { cacheStatus } from '../../src/cache/http/cache-status.ts'
import { responseDirectives } from '../../src/cache/http/directives.ts'
import { CAME, httpDate, lifetime, refusal } from './stored.ts'

const life = (targeted: string, cacheControl = 'max-age=10') =>
  lifetime({ 'cdn-cache-control': targeted, 'cache-control': cacheControl, expires: httpDate(CAME + 99_000) })

describe('RFC 9213 CDN-Cache-Control', () => {
  it('§2.2: counts instead of Cache-Control and Expires', () => {
    expect(life('max-age=60')).toBe(60)
    expect(life('max-age=60', 'no-store')).toBe(60)
    expect(life('public')).toBe(0)
    const targeted = (value: string, cacheControl: string) =>
      refusal({ 'cdn-cache-control': value, 'cache-control': cacheControl })
    expect(targeted('max-age=60', 'no-store, private')).toBeUndefined()
    expect(targeted('no-store', 'public, max-age=60')).toBe('no-store')
    expect(targeted('private', 'public')).toBe('private')
  })

  it.each(['', ' ', 'Max-Age=60', 'max-age=60,', 'max-age=60;;', 'max-age="60', 'max-age = 60', '"max-age"'])(
    '§2.1: "%s" is empty or no dictionary, and is not there',
    (value) => expect(life(value)).toBe(10),
  )

  it.each(['max-age="60"', 'max-age=60.5', 'max-age', 'max-age=?1', 'max-age=(1 2)', 'max-age=-1', 'max-age=:YQ==:'])(
    '§2.1: %s has another type, and gives no life',
    (value) => expect(life(value)).toBe(0),
  )

  it('takes the last of two members, as RFC 9651 §4.2.2 has it, and ignores parameters', () => {
    expect(life('max-age=60, max-age=70')).toBe(70)
    expect(life('max-age=60;a=1')).toBe(60)
  })

  it('has lists of fields as strings', () => {
    const read = (value: string) => responseDirectives(new Headers({ 'cdn-cache-control': value }))
    expect(read('private="X-A, x-b"')).toMatchObject({ private: false, unsharedFields: ['x-a', 'x-b'] })
    expect(read('private=x-a')).toMatchObject({ private: true })
    expect(read('no-cache=("x-a")')).toMatchObject({ noCache: true })
    expect(read('s-maxage=5')).toMatchObject({ sMaxage: 5, hasSoundSMaxage: true, isTargeted: true })
  })
})

describe('RFC 9211 Cache-Status', () => {
  it.each([
    [{ hit: true, ttl: 12, detail: 'edge' }, 'umbral; hit; ttl=12; detail=edge'],
    [{ hit: true, ttl: -3 }, 'umbral; hit; ttl=-3'],
    [
      { fwd: 'uri-miss', fwdStatus: 200, stored: true, ttl: 60 },
      'umbral; fwd=uri-miss; fwd-status=200; ttl=60; stored',
    ],
    [{ fwd: 'miss', collapsed: true }, 'umbral; fwd=miss; collapsed'],
    [{ fwd: 'stale', fwdStatus: 304, stored: false, collapsed: false }, 'umbral; fwd=stale; fwd-status=304'],
  ] as const)('%o is %s', (handling, expected) => {
    expect(cacheStatus(handling)).toBe(expected)
    expect(parseList(cacheStatus(handling))).toHaveLength(1)
  })

  it('§2: stands behind what caches nearer to the origin have said', () => {
    expect(cacheStatus({ hit: true }, 'origin; hit')).toBe('origin; hit, umbral; hit')
    expect(cacheStatus({ hit: true }, null)).toBe('umbral; hit')
    expect(cacheStatus({ hit: true }, ' ')).toBe('umbral; hit')
  })
})
