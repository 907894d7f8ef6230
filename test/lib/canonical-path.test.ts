import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonicalPath, rawPath, rawSearch } from '../../src/lib/canonical-path.ts'

describe('canonicalPath', () => {
  it.each([
    ['/', '/'],
    ['/users/7', '/users/7'],
    ['/users/7/', '/users/7/'],
    ['/%75sers', '/users'],
    ['/a%c3%a9', '/a%C3%A9'],
    ['/aé', '/a%C3%A9'],
    ['/a b', '/a%20b'],
    ['/a"<>`{}^', '/a%22%3C%3E%60%7B%7D%5E'],
    ['/a/./b', '/a/b'],
    ['/a/../b', '/b'],
    ['/a/%2e%2E/b', '/b'],
    ['/../../a', '/a'],
    ['/a/..', '/'],
    ['/a/b/.', '/a/b/'],
    ['//a///b', '/a/b'],
    ['/a/..//b', '/b'],
    ['/.well-known/jwks.json', '/.well-known/jwks.json'],
    ['/a;v=1/b,c', '/a;v=1/b,c'],
    ['/a%2fb', '/a%2Fb'],
  ])('%s → %s', (raw, canonical) => {
    expect(canonicalPath(raw)).toBe(canonical)
  })

  it.each([
    '/a%5cb',
    '/a\\b',
    '/a%00',
    '/a%1F',
    '/a%7f',
    '/a%252e',
    '/a%252F',
    '/a%255c',
    '/a%2500',
    '/a/%25%32%65',
    '/a%25%32%66',
    '/a/..;/b',
    '/a/.%3B',
    '/a/%2e%2e;v=1/b',
    '/a%2F..;%2Fb',
    '/a%2f.%3bx/b',
    '/a%',
    '/a%4',
    '/a%zz',
    '/%ff',
    '/%c3',
    '/\ud800',
  ])('refuses %j', (raw) => {
    expect(canonicalPath(raw)).toBeUndefined()
  })

  it.each([
    ['//a///b', '//a///b'],
    ['/a//', '/a//'],
    ['/a/../b', '/b'],
    ['/%61//b', '/a//b'],
    ['/a//../b', undefined],
    ['/.//a', undefined],
    ['/a//%2e', undefined],
    ['/a//%5c', undefined],
  ])('keeps empty segments in %s: %s', (raw, canonical) => {
    expect(canonicalPath(raw, 'keep')).toBe(canonical)
  })

  const piece = fc.constantFrom(
    '%32',
    '%65',
    '/',
    '.',
    '..',
    'a',
    '%2e',
    '%41',
    '%c3%a9',
    'é',
    '%',
    '"',
    '//',
    '%2F',
    ';',
    '\\',
    '%25',
    '^',
    '|',
    '[',
    '~',
    ' ',
    "'",
  )
  const paths = fc.array(piece, { maxLength: 12 }).map((pieces) => `/${pieces.join('')}`)

  it('is a fixed point of new URL, and of itself', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          paths,
          fc.string({ unit: 'binary' }).map((text) => `/${text}`),
        ),
        (raw) => {
          const path = canonicalPath(raw)
          if (path === undefined) return
          expect(canonicalPath(path)).toBe(path)
          expect(new URL(`http://h${path}`).pathname).toBe(path)
          expect(path).not.toMatch(/\/\/|\/\.\.?(\/|$)/)
        },
      ),
      { numRuns: 5_000 },
    )
  })

  it('with its empty segments is a fixed point of new URL too, and merged the path that is matched', () => {
    fc.assert(
      fc.property(paths, (raw) => {
        const path = canonicalPath(raw, 'keep')
        if (path === undefined) return
        expect(canonicalPath(path, 'keep')).toBe(path)
        expect(new URL(`http://h${path}`).pathname).toBe(path)
        expect(canonicalPath(raw)).toBe(path.replaceAll(/\/{2,}/g, '/'))
      }),
      { numRuns: 5_000 },
    )
  })

  it('never leads elsewhere than new URL would, apart from merged slashes', () => {
    fc.assert(
      fc.property(paths, (raw) => {
        const path = canonicalPath(raw)
        if (path === undefined || raw.includes('//')) return
        expect(decodeURIComponent(path)).toBe(decodeURIComponent(new URL(`http://h${raw}?`).pathname))
      }),
      { numRuns: 5_000 },
    )
  })
})

describe('rawPath and rawSearch', () => {
  it.each([
    ['http://h/a/%2e%2e/b?x=/y#z', '/a/%2e%2e/b', '?x=/y'],
    ['http://h', '/', ''],
    ['http://h/a#b?c', '/a', ''],
    ['http://h:80/?', '/', '?'],
  ])('%s', (url, path, search) => {
    expect(rawPath(url)).toBe(path)
    expect(rawSearch(url)).toBe(search)
  })
})
