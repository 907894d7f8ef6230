import { describe, expect, it } from 'vitest'
import { fieldsOf } from '../../src/cache/http/entry.ts'
import { ageAt, freshnessOf } from '../../src/cache/http/freshness.ts'
import { conditionsOf, freshen, freshenByHead, sameEntityTag } from '../../src/cache/http/validation.ts'
import { CAME, httpDate, refusal, SILENT, stored } from './stored.ts'

const LATER = CAME + 3600_000
const MODIFIED = httpDate(CAME - 5000)

const confirm = (before: Record<string, string>, answer: Record<string, string>) =>
  freshen(stored(before), new Headers(answer), LATER, LATER)
const valuesAfter = (before: Record<string, string>, answer: Record<string, string>) =>
  Object.fromEntries(confirm(before, answer)!.headers)

describe('RFC 9111 §4.3.1 the validation request', () => {
  it.each([
    ['the entity tag', { etag: '"a"' }, { 'if-none-match': '"a"' }],
    ['a weak one too', { etag: 'W/"a"' }, { 'if-none-match': 'W/"a"' }],
    ['the date as it is written', { 'last-modified': MODIFIED }, { 'if-modified-since': MODIFIED }],
    ['both', { etag: '""', 'last-modified': MODIFIED }, { 'if-none-match': '""', 'if-modified-since': MODIFIED }],
    ['no broken date', { etag: '"a"', 'last-modified': 'x' }, { 'if-none-match': '"a"' }],
    ['nothing', {}, undefined],
    ['nothing from a tag without quotes', { etag: 'a' }, undefined],
    ['nothing from two tags', { etag: '"a", "b"' }, undefined],
  ])('has %s', (_, headers, expected) => expect(conditionsOf(stored(headers))).toEqual(expected))
})

describe('RFC 9110 §8.8.3.2 entity tags', () => {
  it.each([
    ['W/"1"', 'W/"1"', false, true],
    ['W/"1"', 'W/"2"', false, false],
    ['W/"1"', '"1"', false, true],
    ['"1"', '"1"', true, true],
  ])('%s and %s', (a, b, strong, weak) => {
    expect([sameEntityTag(a, b, 'strong'), sameEntityTag(b, a, 'strong')]).toEqual([strong, strong])
    expect([sameEntityTag(a, b, 'weak'), sameEntityTag(b, a, 'weak')]).toEqual([weak, weak])
  })
})

describe('RFC 9111 §4.3.4 a 304 is about the stored answer', () => {
  it.each([
    ['the same strong tag', { etag: '"a"' }, { etag: '"a"' }, true],
    ['another strong tag', { etag: '"a"' }, { etag: '"b"' }, false],
    ['a strong tag, a weak one stored', { etag: 'W/"a"' }, { etag: '"a"' }, false],
    ['the same weak tag', { etag: 'W/"a"' }, { etag: 'W/"a"' }, true],
    ['a weak tag, a strong one stored', { etag: '"a"' }, { etag: 'W/"a"' }, true],
    ['another weak tag', { etag: '"a"' }, { etag: 'W/"b"' }, false],
    ['a tag where none is stored', { 'last-modified': MODIFIED }, { etag: '"a"', 'last-modified': MODIFIED }, false],
    ['the same date', { etag: '"a"', 'last-modified': MODIFIED }, { 'last-modified': MODIFIED }, true],
    ['another date', { 'last-modified': MODIFIED }, { 'last-modified': httpDate(CAME) }, false],
    ['a date where none is stored', { etag: '"a"' }, { 'last-modified': MODIFIED }, false],
    ['no validator: about what was asked', { etag: '"a"' }, {}, true],
  ])('%s', (_, before, answer, expected) => expect(confirm(before, answer) !== undefined).toBe(expected))
})

describe('RFC 9111 §3.2 updating', () => {
  const before = { etag: '"a"', 'cache-control': 'max-age=10', 'x-a': '1', 'x-b': '2', date: httpDate(CAME) }

  it('replaces what the 304 has, adds what is new, keeps the rest', () =>
    expect(valuesAfter(before, { 'x-a': '3', 'x-c': '4', date: httpDate(LATER) })).toEqual({
      ...before,
      'x-a': '3',
      'x-c': '4',
      date: httpDate(LATER),
    }))

  it('leaves Content-Length, and what else the stored bytes depend on', () => {
    const bytes = { 'content-length': '5', 'content-encoding': 'br' }
    const other = { 'content-length': '0', 'content-encoding': 'gzip', 'content-range': 'bytes 0-1/2' }
    expect(valuesAfter(bytes, other)).toMatchObject(bytes)
    expect(valuesAfter({}, other)).toEqual({ date: httpDate(LATER) })
  })

  it('stores no field of a hop, no Set-Cookie, and none that either answer keeps private', () => {
    const values = valuesAfter(
      { 'cache-control': 'private="x-user"' },
      { connection: 'x-hop', 'x-hop': '1', 'set-cookie': 'a=1', 'x-user': 'eve' },
    )
    expect(values).toEqual({ 'cache-control': 'private="x-user"', date: httpDate(LATER) })
  })

  it('starts a new age and life (§4.2.3), also when the 304 has neither Date nor Age', () => {
    const head = confirm({ ...before, age: '9', date: httpDate(CAME - 9000) }, {})!
    expect(ageAt(head, LATER)).toBe(0)
    expect(freshnessOf(head, SILENT).lifetime).toBe(10)
    expect(ageAt(confirm(before, { age: '4' })!, LATER)).toBe(4)
  })

  it('lets a 304 say that nothing may be stored any longer', () => {
    const { headers } = confirm(before, { 'cache-control': 'no-store' })!
    expect(refusal(Object.fromEntries(headers))).toBe('no-store')
  })
})

describe('RFC 9111 §4.3.5 HEAD', () => {
  const before = { etag: '"a"', 'last-modified': MODIFIED, 'content-length': '5', 'x-a': '1' }
  const byHead = (answer: Record<string, string>, status = 200) =>
    freshenByHead(stored(before), { status, headers: new Headers(answer) }, LATER, LATER)

  it('updates what its validators and length agree with', () => {
    const head = byHead({ ...before, 'x-a': '2' })!
    expect(fieldsOf(head.headers).get('x-a')).toBe('2')
    expect(head.responseTime).toBe(LATER)
    expect(byHead({ 'x-a': '2' })).toBeDefined()
  })

  it.each([{ etag: '"b"' }, { 'last-modified': httpDate(CAME) }, { 'content-length': '6' }])(
    'outdates what %o differs from',
    (other) => expect(byHead({ ...before, ...other })).toBeUndefined(),
  )

  it('says nothing by another status', () => expect(byHead({ etag: '"b"' }, 500)).toEqual(stored(before)))
})
