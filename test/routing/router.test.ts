import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { compileRouter, type RouteMatch } from '../../src/routing/router.ts'

interface RequestParts {
  method?: string
  url: string
  headers?: Record<string, string>
}

function match(routes: readonly RouteMatch[], { method = 'GET', url, headers = {} }: RequestParts) {
  const { pathname, host } = new URL(url, 'http://gw.test')
  const request = new Request(new URL(url, 'http://gw.test'), { headers: { host, ...headers } })
  return compileRouter(routes)(method, pathname, request)
}

describe('compileRouter', () => {
  const routes: RouteMatch[] = [
    { path: '/*' },
    { path: '/users/*' },
    { path: '/users/:id', methods: ['GET', 'DELETE'] },
    { path: '/users/me', methods: ['GET'] },
    { path: '/users/:id/orders', methods: ['GET'] },
    { path: '/users/:id/orders/*' },
    { path: '/' },
  ]

  it.each([
    ['/', 6, {}],
    ['/x', 0, { '*': 'x' }],
    ['/users', 1, { '*': '' }],
    ['/users/', 1, { '*': '' }],
    ['/users/me', 3, {}],
    ['/users/7', 2, { id: '7' }],
    ['/users/7/orders', 4, { id: '7' }],
    ['/users/7/orders/8/9', 5, { id: '7', '*': '8/9' }],
    ['/users/7/x', 1, { '*': '7/x' }],
    ['/usersx', 0, { '*': 'usersx' }],
    ['/users/a%20b', 2, { id: 'a b' }],
  ])('%s → route %i', (url, index, params) => {
    expect(match(routes, { url })).toEqual({ kind: 'route', index, params })
  })

  it('gives parameters of any name, and none that the path has not', () => {
    const names = ['__proto__', 'constructor', 'toString']
    const url = '/x/1/2/3'
    const found = match([{ path: `/x/:${names.join('/:')}` }], { url })
    expect(found.kind === 'route' && Object.entries(found.params)).toEqual(
      names.map((name, i) => [name, String(i + 1)]),
    )
    for (const path of [url, '/x/*', '/x/:a/:b/:c']) {
      const other = match([{ path }], { url })
      expect(other.kind === 'route' && names.filter((name) => other.params[name] !== undefined)).toEqual([])
    }
  })

  it('falls back to a less specific path whose method matches', () => {
    expect(match(routes, { method: 'DELETE', url: '/users/me' })).toMatchObject({ index: 2, params: { id: 'me' } })
  })

  it('lets HEAD follow GET, but prefers a route that names it', () => {
    const heads: RouteMatch[] = [
      { path: '/a', methods: ['GET'] },
      { path: '/a', methods: ['HEAD'] },
      { path: '/b', methods: ['GET'] },
    ]
    expect(match(heads, { method: 'HEAD', url: '/a' })).toMatchObject({ index: 1 })
    expect(match(heads, { method: 'GET', url: '/a' })).toMatchObject({ index: 0 })
    expect(match(heads, { method: 'HEAD', url: '/b' })).toMatchObject({ index: 2 })
  })

  it('tells 405 with every method of the path from 404', () => {
    const two: RouteMatch[] = [
      { path: '/a', methods: ['PUT'] },
      { path: '/:x', methods: ['GET'] },
    ]
    const found = match(two, { method: 'POST', url: '/a' })
    expect(found.kind === 'method' && found.allow.toSorted()).toEqual(['GET', 'HEAD', 'PUT'])
    expect(match(two, { url: '/a/b' })).toEqual({ kind: 'none' })
  })

  it('orders by host, then method, then headers, then query', () => {
    const many: RouteMatch[] = [
      { path: '/a' },
      { path: '/a', query: { v: '1' } },
      { path: '/a', headers: { 'x-v': '1' } },
      { path: '/a', methods: ['GET'] },
      { path: '/a', hosts: ['*.example.com'] },
      { path: '/a', hosts: ['api.example.com'] },
    ]
    const headers = { 'x-v': '1' }
    expect(match(many, { url: 'http://api.example.com/a?v=1', headers })).toMatchObject({ index: 5 })
    expect(match(many, { url: 'http://x.y.example.com:8080/a?v=1', headers })).toMatchObject({ index: 4 })
    expect(match(many, { url: 'http://example.com/a?v=1', headers })).toMatchObject({ index: 3 })
    expect(match(many, { method: 'PUT', url: '/a?v=1', headers })).toMatchObject({ index: 2 })
    expect(match(many, { method: 'PUT', url: '/a?v=1' })).toMatchObject({ index: 1 })
    expect(match(many, { method: 'PUT', url: '/a?v=2' })).toMatchObject({ index: 0 })
  })

  it('never lets one host pass for another', () => {
    const hosted: RouteMatch[] = [{ path: '/a', hosts: ['api.example.com', '*.example.org'] }]
    for (const host of ['api.example.com.evil.test', 'xapi.example.com', 'example.org', 'evilexample.org']) {
      expect(match(hosted, { url: `http://${host}/a` })).toEqual({ kind: 'none' })
    }
    expect(match(hosted, { url: 'http://API.example.com:8443/a' })).toMatchObject({ index: 0 })
  })

  it('finds what a linear search over the same rules finds, whatever the order of the file', () => {
    const segment = fc.constantFrom('a', 'b', ':p', ':q')
    const pattern = fc.tuple(fc.array(segment, { minLength: 1, maxLength: 3 }), fc.boolean()).map(([parts, rest]) => {
      const unique = parts.map((part, i) => (part.startsWith(':') ? `${part}${i}` : part))
      return `/${unique.join('/')}${rest ? '/*' : ''}`
    })
    const path = fc
      .array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 4 })
      .map((parts) => `/${parts.join('/')}`)
    fc.assert(
      fc.property(fc.uniqueArray(pattern, { minLength: 1, maxLength: 8, selector: shape }), path, (patterns, url) => {
        const best = patterns.filter((p) => toRegExp(p).test(url)).toSorted((a, b) => (shape(a) < shape(b) ? -1 : 1))[0]
        const found = match(
          patterns.map((p) => ({ path: p })),
          { url },
        )
        expect(found.kind === 'route' ? patterns[found.index] : undefined).toBe(best)
      }),
      { numRuns: 2_000 },
    )
  })
})

/** Sorts literal before `:name` before the end before `/*`, segment by segment. */
const shape = (pattern: string): string =>
  pattern
    .slice(1)
    .split('/')
    .map((part) => (part === '*' ? '3' : part.startsWith(':') ? '2' : `1${part}`))
    .join('/')

const toRegExp = (pattern: string): RegExp =>
  new RegExp(`^${pattern.replace(/\/\*$/, '(?:/.*)?').replaceAll(/:\w+/g, '[^/]+')}$`)
