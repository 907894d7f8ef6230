import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rangeOf } from '../../src/cache/http/byte-range.ts'
import { requestDirectives, responseDirectives } from '../../src/cache/http/directives.ts'
import { matchesSelection, normalValue, selectionOf, varyNames } from '../../src/cache/http/entry.ts'
import { ageAt, freshnessOf, keepUntil } from '../../src/cache/http/freshness.ts'
import { judgeReuse } from '../../src/cache/http/reuse.ts'
import { whyNotStored } from '../../src/cache/http/storable.ts'
import { isNotModified } from '../../src/cache/http/stored-response.ts'
import { freshen } from '../../src/cache/http/validation.ts'
import { parseHttpDate } from '../../src/lib/http-date.ts'
import { CAME, httpDate, said, SILENT, stored } from './stored.ts'

/** Pieces that, put together by chance, come near to every grammar here. */
const WORDS =
  'max-age s-maxage private no-store no-cache public must-revalidate stale-if-error MAX-AGE 0 1 60 99999999999999999999 ' +
  '1.5 -1 x gzip x-a Sun Sunday 06 Nov 1994 -94 08:49:37 GMT EST = = = , , " " \\ ; ( ) ?1 - : / * W/ bytes= %'
const PIECES = [' ', '\t', ', ', httpDate(CAME), ...WORDS.split(' ')]
const text = fc.oneof(
  fc.array(fc.constantFrom(...PIECES), { maxLength: 12 }).map((pieces) => pieces.join('')),
  fc.string({ maxLength: 60 }).map((chars) => chars.replaceAll(/[^\x20-\x7e]/g, '')),
)
const NAMES = (
  'cache-control cdn-cache-control expires date age last-modified etag vary pragma content-length connection ' +
  'range if-range if-none-match if-modified-since authorization'
).split(' ')
const headers = fc.dictionary(fc.constantFrom(...NAMES), text, { maxKeys: 8 })

describe('whatever the fields hold', () => {
  it('the answers are numbers in their bounds, and nothing throws', () => {
    fc.assert(
      fc.property(headers, headers, fc.integer({ min: 100, max: 999 }), (answer, request, status) => {
        const asked = new Headers(request)
        const head = stored(answer, status)
        whyNotStored(
          { method: 'GET', headers: asked, authenticated: false, identityInKey: false },
          { status, headers: new Headers(answer) },
        )
        const { lifetime, staleIfError, staleWhileRevalidate } = freshnessOf(head, SILENT)
        // The longest Expires: the year 9999.
        for (const seconds of [lifetime, staleIfError, staleWhileRevalidate, ageAt(head, CAME)])
          expect(seconds >= 0 && seconds < 3e11).toBe(true)
        expect(Number.isSafeInteger(keepUntil(head, SILENT))).toBe(true)
        const { ttl, age, use } = judgeReuse(head, requestDirectives(asked), CAME + 5000, SILENT)
        expect(Number.isSafeInteger(ttl) && Number.isSafeInteger(age)).toBe(true)
        expect(use === 'serve-and-refresh' ? ttl <= 0 : true).toBe(true)
        isNotModified(asked, head)
        const range = rangeOf(asked, head)
        if (range !== undefined && 'first' in range)
          expect(0 <= range.first && range.first <= range.last && range.last < range.length).toBe(true)
        freshen(head, asked, CAME, CAME)
        const names = varyNames(asked)
        if (names !== '*') expect(matchesSelection(selectionOf(names, asked), asked)).toBe(true)
      }),
      { numRuns: 3000 },
    )
  })

  it('the normal form of a value is its own normal form, and that of its members in any order', () => {
    fc.assert(
      fc.property(
        fc.array(text, { maxLength: 6 }),
        fc.constantFrom('accept-language', 'accept', 'x-a'),
        (parts, name) => {
          const normal = normalValue(name, parts.join(','))
          expect(normalValue(name, normal)).toBe(normal)
          const isList = name !== 'x-a' && !parts.some((part) => part.includes('"'))
          if (isList) expect(normalValue(name, parts.toReversed().join(' , ').toUpperCase())).toBe(normal)
        },
      ),
    )
  })

  it('a no-store or private that stands between commas outside of quotes is always seen', () => {
    fc.assert(
      fc.property(text, text, fc.constantFrom('no-store', 'NO-STORE', 'Private'), (before, after, word) => {
        const unquoted = before.replaceAll(/["\\]/g, '')
        const { noStore, private: isPrivate } = said(`${unquoted}, ${word}, ${after}`)
        expect(word === 'Private' ? isPrivate : noStore).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  it('a quote that never ends hides nothing that forbids, and reveals nothing that allows', () => {
    fc.assert(
      fc.property(text, (junk) => {
        const inside = junk.replaceAll('"', '')
        const read = said(`ext="${inside}, no-store, private, no-cache, public, max-age=60, s-maxage=60`)
        expect(read).toMatchObject({ noStore: true, private: true, noCache: true })
        expect(read).toMatchObject({ public: false, maxAge: 0, sMaxage: 0, hasSoundSMaxage: false })
      }),
      { numRuns: 1000 },
    )
  })

  it('every date that it writes is read back in the three forms', () => {
    const pad = (number: number) => String(number).padStart(2, '0')
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 4_000_000_000 }), (seconds) => {
        const date = new Date(seconds * 1000)
        const imf = date.toUTCString()
        const [, day, month, year, time] = /, (\d\d) (\w+) (\d+) (\S+) GMT/.exec(imf)!
        expect(parseHttpDate(imf, CAME)).toBe(seconds * 1000)
        expect(parseHttpDate(`Mon ${month} ${String(Number(day)).padStart(2)} ${time} ${year}`, CAME)).toBe(
          seconds * 1000,
        )
        const rfc850 = `Monday, ${day}-${month}-${pad(date.getUTCFullYear() % 100)} ${time} GMT`
        expect(parseHttpDate(rfc850, seconds * 1000)).toBe(seconds * 1000)
      }),
    )
  })
})

describe('huge fields', () => {
  const HUGE = 128 * 1024
  it.each([
    ['quotes', '"'.repeat(HUGE)],
    ['escapes', `a="${'\\'.repeat(HUGE)}`],
    ['a quoted string', `a="${'x'.repeat(HUGE)}"`],
    ['a quoted string that never ends', `a="${'x'.repeat(HUGE)}`],
    ['many quoted strings with a word behind', 'a="b"c,'.repeat(HUGE / 8)],
    ['spaces', `a${' '.repeat(HUGE)}b`],
    ['commas', ','.repeat(HUGE)],
    ['directives', 'max-age=1,'.repeat(HUGE / 10)],
    ['semicolons', `a${' ;'.repeat(HUGE / 2)}`],
    ['tags', 'W/"a",'.repeat(HUGE / 6)],
    ['digits', `max-age=${'9'.repeat(HUGE)}`],
    ['braces', `a=${'('.repeat(HUGE)}`],
  ])('of %s take no more than linear time', (_, value) => {
    const fields = { get: () => value }
    const head = { ...stored({}), headers: NAMES.map((name) => [name, value] as const) }
    const work = () => {
      responseDirectives(fields)
      requestDirectives(fields)
      parseHttpDate(value, CAME)
      freshnessOf(head, SILENT)
      isNotModified(fields, head)
      rangeOf(fields, head)
      varyNames(fields)
      selectionOf(['accept', 'x-a'], fields)
    }
    const started = Date.now()
    work()
    // Quadratic time would be many seconds.
    expect(Date.now() - started).toBeLessThan(2000)
  })
})
