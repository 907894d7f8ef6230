import { describe, expect, it } from 'vitest'
import { matchesSelection, selectionKey, selectionOf, varyNames } from '../../src/cache/http/entry.ts'
import { invalidatedUrls } from '../../src/cache/http/validation.ts'
import { isUnsafe } from '../../src/lib/http-method.ts'

describe('RFC 9111 §4.1 Vary', () => {
  it('names fields in any case, in any order, over several lines', () => {
    const headers = new Headers({ vary: 'X-B, accept ,, X-b' })
    headers.append('vary', 'Cookie')
    expect(varyNames(headers)).toEqual(['accept', 'cookie', 'x-b'])
    expect(varyNames(new Headers())).toEqual([])
  })

  const differ = (name: string, a: string | null, b: string | null) => {
    const [first, second] = [a, b].map((value) => new Headers(value === null ? {} : { [name]: value }))
    const selection = selectionOf([name], first!)
    const isMatch = matchesSelection(selection, second!)
    expect(selectionKey(selection) === selectionKey(selectionOf([name], second!))).toBe(isMatch)
    return !isMatch
  }

  it.each([
    ['accept-language', 'de, en;q=0.5', 'DE,EN ; q=0.5'],
    ['accept-language', 'de, en', 'EN , de'],
    ['accept-language', 'en-GB,fr;q=0.7,*;q=0.1', '*;q=0.1, fr;q=0.7, en-gb'],
    ['accept', 'text/html, */*;q=0.8', '*/*;q=0.8,Text/HTML'],
    ['accept-charset', 'utf-8, iso-8859-1', 'ISO-8859-1,UTF-8'],
    ['accept-encoding', 'gzip,br', ' gzip , br,'],
    ['x-a', 'a', ' a '],
    ['x-a', null, null],
  ])('%s: "%s" is "%s"', (name, a, b) => expect(differ(name, a, b)).toBe(false))

  it.each([
    ['accept-language', 'de, en', 'de'],
    ['accept-language', 'de, en;q=0.5', 'en, de;q=0.5'],
    ['accept', 'text/html;x="A, b"', 'text/html;x="a, b"'],
    ['x-a', 'a', 'A'],
    ['x-a', 'a,b', 'a, b'],
    ['x-a', '', null],
    ['accept', '', null],
  ])('%s: "%s" is not "%s"', (name, a, b) => {
    expect(differ(name, a, b)).toBe(true)
    expect(differ(name, b, a)).toBe(true)
  })

  it('combines the lines of a field', () => {
    const lines = new Headers({ 'x-a': 'a' })
    lines.append('x-a', 'b')
    expect(matchesSelection([['x-a', 'a, b']], lines)).toBe(true)
    expect(matchesSelection([['x-a', 'a']], lines)).toBe(false)
  })

  it('has no key for no field, and one for each selection', () => {
    expect(selectionKey([])).toBe('')
    expect(selectionKey([['a', 'b","c']])).not.toBe(
      selectionKey([
        ['a', 'b'],
        ['c', ''],
      ]),
    )
    expect(matchesSelection(undefined, new Headers())).toBe(true)
  })
})

describe('RFC 9111 §4.4 invalidation', () => {
  const URL = 'https://gw.test/a?b=1'
  const after = (headers: Record<string, string> = {}, method = 'POST', status = 200) =>
    invalidatedUrls(method, status, URL, new Headers(headers))

  it.each(['POST', 'PUT', 'PATCH', 'DELETE', 'UNKNOWN', 'get'])('%s outdates its target', (method) => {
    expect(isUnsafe(method)).toBe(true)
    expect(after({}, method)).toEqual([URL])
  })

  it.each(['GET', 'HEAD', 'OPTIONS', 'TRACE'])('%s outdates nothing', (method) => {
    expect(isUnsafe(method)).toBe(false)
    expect(after({ location: '/x' }, method)).toEqual([])
  })

  it.each([199, 400, 404, 500, 999])('an error %i outdates nothing', (status) =>
    expect(after({ location: '/x' }, 'POST', status)).toEqual([]),
  )

  it.each([200, 201, 204, 303, 399])('%i outdates what Location and Content-Location name too', (status) =>
    expect(after({ location: '/x#top', 'content-location': 'y' }, 'PUT', status)).toEqual([
      URL,
      'https://gw.test/x',
      'https://gw.test/y',
    ]),
  )

  it.each(['https://other.test/x', 'http://gw.test/x', 'https://gw.test:8443/x', '//evil/x', 'http://[', 'data:,x'])(
    'never what another origin has: %s',
    (location) => expect(after({ location, 'content-location': location })).toEqual([URL]),
  )

  it('names each once', () => expect(after({ location: URL, 'content-location': '?b=1' })).toEqual([URL]))
})
