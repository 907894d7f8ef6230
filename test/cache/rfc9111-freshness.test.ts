import { describe, expect, it } from 'vitest'
import { ageAt, keepUntil } from '../../src/cache/http/freshness.ts'
import { parseHttpDate } from '../../src/lib/http-date.ts'
import { CAME, httpDate, lifetime, said, SILENT, stored, verdict } from './stored.ts'

const DAY = 86_400_000

describe('RFC 9111 §4.2 dates', () => {
  const EXPECTED = Date.UTC(1994, 10, 6, 8, 49, 37)

  it.each([
    'Sun, 06 Nov 1994 08:49:37 GMT',
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov  6 08:49:37 1994',
    'sun, 06 nov 1994 08:49:37 gmt',
    'SUNDAY, 06-NOV-94 08:49:37 GMT',
    'sun nov  6 08:49:37 1994',
  ])('reads %s', (text) => expect(parseHttpDate(text, CAME)).toBe(EXPECTED))

  it.each([
    '',
    '0',
    '-1',
    '1 day',
    '1994-11-06T08:49:37Z',
    'Sun, 06 Nov 1994 08:49:37',
    'Sun, 06 Nov 1994 08:49:37 UTC',
    'Sun, 06 Nov 1994 08:49:37 EST',
    'Sun, 06 Nov 1994 08:49:37 +0000',
    'Sun, 6 Nov 1994 08:49:37 GMT',
    'Sun, 06 Nov 94 08:49:37 GMT',
    'Sun, 06  Nov 1994 08:49:37 GMT',
    'Sun, 31 Feb 2026 00:00:00 GMT',
    'Sun, 00 Jan 2026 00:00:00 GMT',
    'Sun, 06 Nov 1994 24:00:00 GMT',
    'Sun, 06 Nov 1994 08:60:00 GMT',
    'Sun, 06 Nov 1994 08:49:61 GMT',
    'Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT',
  ])('reads nothing from "%s"', (text) => expect(parseHttpDate(text, CAME)).toBeUndefined())

  it('takes two digits for the past from 50 years ahead (RFC 9110 §5.6.7)', () => {
    const year = (digits: string, now: number) =>
      new Date(parseHttpDate(`Sunday, 06-Nov-${digits} 08:49:37 GMT`, now)!).getUTCFullYear()
    expect(year('76', CAME)).toBe(2076)
    expect(year('77', CAME)).toBe(1977)
    expect(year('00', CAME)).toBe(2000)
    expect(year('05', Date.UTC(1999, 0))).toBe(2005)
  })

  it('rounds a leap second down', () =>
    expect(parseHttpDate('Sat, 31 Dec 2016 23:59:60 GMT', CAME)).toBe(Date.UTC(2016, 11, 31, 23, 59, 59)))
})

describe('RFC 9111 §4.2.1 lifetime', () => {
  const expires = httpDate(CAME + 30_000)

  it.each([
    ['s-maxage before max-age', 'max-age=10, s-maxage=20', 20],
    ['s-maxage=0 before max-age', 'max-age=10, s-maxage=0', 0],
    ['max-age before Expires', 'max-age=10', 10],
    ['names in any case', 'MAX-AGE=10', 10],
    ['quoted seconds', 'max-age="10"', 10],
    ['an escape in quotes', 'max-age="1\\0"', 10],
    ['more seconds than 2^31', `max-age=${'9'.repeat(40)}`, 2 ** 31],
    ['the same twice', 'max-age=10, max-age=10', 10],
    ['two that differ: stale', 'max-age=10, max-age=20', 0],
    ['no integer: stale', 'max-age=1.5', 0],
    ['a negative: stale', 'max-age=-1', 0],
    ['no argument: stale', 'max-age', 0],
    ['an empty argument: stale', 'max-age=', 0],
    ['spaces around =: stale', 'max-age = 10', 0],
    ['a word behind: stale', 'max-age=10 foo', 0],
    ['a broken s-maxage before a sound max-age: stale', 'max-age=10, s-maxage=x', 0],
    ['what stands in quotes is no directive', 'ext="max-age=5, no-cache", max-age=10', 10],
    ['an escaped quote does not end them', 'ext="a\\", max-age=5", max-age=10', 10],
    ['behind a quote that never ends: stale', 'ext="a, max-age=10', 0],
    ['empty members', ',, max-age=10 ,', 10],
    ['a broken neighbour', 'a/b, max-age=10', 10],
    ['Expires without a directive', 'public', 30],
  ])('%s', (_, cacheControl, expected) =>
    expect(lifetime({ 'cache-control': cacheControl, expires, date: httpDate(CAME) })).toBe(expected),
  )

  it('counts Expires from Date, not from now', () =>
    expect(lifetime({ expires, date: httpDate(CAME + 10_000) })).toBe(20))

  it.each(['0', '-1', '', 'tomorrow', `${expires}, ${expires}`, httpDate(CAME - 1000)])(
    '§5.3: Expires "%s" has passed, and there is no heuristic',
    (text) => expect(lifetime({ expires: text, 'last-modified': httpDate(CAME - DAY) })).toBe(0),
  )

  it('what is malformed can still forbid', () => {
    expect(said('foo bar no-store')).toMatchObject({ noStore: true })
    expect(said('ext="a, no-store, private, no-cache')).toMatchObject({ noStore: true, private: true, noCache: true })
    expect(said('ext="a, public, must-understand')).toMatchObject({ public: false, mustUnderstand: false })
    expect(said('private="a b"')).toMatchObject({ private: true, unsharedFields: [] })
    expect(said('private="a", private="b"')).toMatchObject({ private: true })
  })
})

describe('RFC 9111 §4.2.2 heuristic', () => {
  const headers = { 'last-modified': httpDate(CAME - 1000 * 1000), date: httpDate(CAME) }

  it('is a tenth of the time without a change, at most a day', () => {
    expect(lifetime(headers)).toBe(100)
    expect(lifetime({ 'last-modified': httpDate(CAME - 3650 * DAY) })).toBe(86_400)
  })

  it('needs a status that allows it, or public', () => {
    expect(lifetime(headers, SILENT, 500)).toBe(0)
    expect(lifetime({ ...headers, 'cache-control': 'public' }, SILENT, 500)).toBe(100)
  })

  it('needs a Last-Modified in the past', () => {
    expect(lifetime({})).toBe(0)
    expect(lifetime({ 'last-modified': httpDate(CAME + DAY) })).toBe(0)
    expect(lifetime({ 'last-modified': 'long ago' })).toBe(0)
  })

  it('is not for an answer with an explicit life', () =>
    expect(lifetime({ ...headers, 'cache-control': 'max-age=5' })).toBe(5))
})

describe('the route’s ttl', () => {
  const route = { override: false, ttl: 60 }

  it('is for a silent origin, and stands before the heuristic', () => {
    expect(lifetime({}, route)).toBe(60)
    expect(lifetime({ 'last-modified': httpDate(CAME - DAY) }, route)).toBe(60)
    expect(lifetime({ 'cache-control': 'max-age=5' }, route)).toBe(5)
    expect(lifetime({ expires: '0' }, route)).toBe(0)
  })

  it('with override replaces the life that the origin gives, but no no-cache', () => {
    const override = { ...route, override: true }
    expect(lifetime({ 'cache-control': 's-maxage=5' }, override)).toBe(60)
    expect(verdict({ 'cache-control': 'no-cache' }, 1, {}, override).use).toBe('validate')
  })

  it('is not for errors, nor for what one odd request provokes', () => {
    for (const status of [302, 403, 405, 414, 431, 500, 501, 503]) expect(lifetime({}, route, status)).toBe(0)
  })

  it('starts when the answer came, however old it was then', () => {
    const old = { age: '500' }
    expect(verdict(old, 59, {}, route)).toMatchObject({ use: 'serve', age: 559, ttl: 1 })
    expect(verdict(old, 60, {}, route).use).toBe('validate')
  })
})

describe('RFC 9111 §4.2.3 age', () => {
  it.each([
    ['Date alone', { date: httpDate(CAME - 7000) }, 0, 7],
    ['a Date ahead is no age', { date: httpDate(CAME + 7000) }, 0, 0],
    ['Age and the time that it took', { age: '5' }, 2000, 7],
    ['the larger of both', { age: '5', date: httpDate(CAME - 6000) }, 2000, 7],
    ['a broken Date is now', { date: 'x' }, 0, 0],
    ['§5.1: the first of several', { age: '5, 9' }, 0, 5],
    ['§5.1: no number is no Age', { age: 'x' }, 0, 0],
    ['§5.1: a negative is no Age', { age: '-5' }, 0, 0],
    ['§5.1: a fraction is no Age', { age: '5.5' }, 0, 0],
  ])('%s', (_, headers, delay, expected) => {
    expect(ageAt(stored(headers, 200, delay), CAME)).toBe(expected)
    expect(ageAt(stored(headers, 200, delay), CAME + 2999)).toBe(expected + 2)
  })

  it('does not become younger when the clock steps back', () => expect(ageAt(stored({}), CAME - 5000)).toBe(0))
})

describe('keepUntil', () => {
  const seconds = (headers: Record<string, string>, route = SILENT) => (keepUntil(stored(headers), route) - CAME) / 1000

  it('is the life that is left with the longer stale time', () => {
    expect(seconds({ 'cache-control': 'max-age=10, stale-while-revalidate=5, stale-if-error=7', age: '4' })).toBe(13)
    expect(seconds({}, { override: false, ttl: 10, staleIfError: 90 })).toBe(100)
  })

  it('lasts an hour longer for the sake of a validator', () => {
    expect(seconds({ etag: '"a"' })).toBe(3600)
    expect(seconds({ etag: '"a"', 'cache-control': 'no-cache' })).toBe(3600)
    expect(seconds({ etag: '"a"', 'cache-control': 'max-age=10' })).toBe(3610)
  })

  it('is over at once for what can never be used', () => {
    expect(seconds({})).toBe(0)
    expect(seconds({ 'cache-control': 'no-cache, max-age=60' })).toBe(0)
    expect(seconds({ 'cache-control': 'max-age=10', age: '11' })).toBeLessThan(0)
  })
})
