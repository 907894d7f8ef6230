import { describe, expect, it } from 'vitest'
import { parsePathPattern } from '../../src/routing/path-pattern.ts'
import { diagnostics, route, withPolicies } from '../support/config-file.ts'

describe('a path in the notation of another router', () => {
  it.each([
    ['/a/{id}', '/a/:id'],
    ['/a/{id}/b/{name}', '/a/:id/b/:name'],
    ['/a/{id:int}', '/a/:id'],
    ['/a/{rest...}', '/a/*'],
    ['/a/{rest*}', '/a/*'],
    ['/a/{*rest}', '/a/*'],
    ['/a/<id>', '/a/:id'],
    ['/a/<int:id>/b', '/a/:id/b'],
    ['/a/[id]', '/a/:id'],
    ['/a/[...rest]', '/a/*'],
    ['/a/**', '/a/*'],
    ['/a/{user-id}', '/a/:user_id'],
    ['/a/{id?}', '/a/:id'],
    ['/a/{proxy+}', '/a/*'],
    ['/a/{+rest}', '/a/*'],
    ['/a/{rest:path}', '/a/*'],
    ['/a/<path:rest>', '/a/*'],
    ['/a/[[...rest]]', '/a/*'],
    ['/a/:id?', '/a/:id'],
    ['/a/:rest*', '/a/*'],
    ['/a/*rest', '/a/*'],
  ])('%s: did you mean %s?', (path, suggested) => {
    expect(diagnostics(withPolicies({}, { path }))).toEqual([
      `routes[0].match.path: a parameter is written ":name" (did you mean "${suggested}"?), found "${path}"`,
    ])
  })

  it.each([
    ['/a/{id}.json', 'a parameter is a whole segment, ":name"'],
    ['/v{version}/a', 'a parameter is a whole segment, ":name"'],
    ['/a/{id}/b/{id}', '":id" stands twice'],
  ])('%s has no equivalent', (path, message) => {
    expect(diagnostics(withPolicies({}, { path }))).toEqual([`routes[0].match.path: ${message}, found "${path}"`])
  })

  it.each([
    '/a/[0-9]',
    '/a/(b|c)',
    '^/a/[0-9]+$',
    '/a/(.*)',
    '~ ^/a',
    '~* \\.php$',
    '/a/[0-9]+',
    '/a/:id(\\d+)',
    '/a/.*',
    '/a/(?<id>x)',
  ])('is no regular expression: %s', (path) => {
    expect(diagnostics(withPolicies({}, { path }))).toEqual([
      `routes[0].match.path: a path is not a regular expression; expected ":name" for one segment, and a final "/*" for everything below, found ${JSON.stringify(path)}`,
    ])
  })

  it.each(['/a.b', '/odata/$metadata', '/a(1)', '/users(7)', '/a+b', '/a/:id/*', '/~me', '/.well-known/x'])(
    'may have these characters: %s',
    (path) => {
      expect(typeof parsePathPattern(path)).toBe('object')
    },
  )
})

describe('a rate in one text', () => {
  const limiter = { name: 'l', algorithm: 'fixed-window', window: '1m', key: ['client.ip'] }

  it.each([
    ['5/m', 5, '1m'],
    ['100 per minute', 100, '1m'],
    ['100/min', 100, '1m'],
    ['10r/s', 10, '1s'],
    ['10 requests / second', 10, '1s'],
    ['5/10s', 5, '10s'],
    ['1000/hour', 1000, '1h'],
    ['1000/day', 1000, '1d'],
    ['10rps', 10, '1s'],
    ['100rpm', 100, '1m'],
    ['5-M', 5, '1m'],
    ['5 an hour', 5, '1h'],
  ])('%s is told where the period is', (limit, count, window) => {
    expect(diagnostics(withPolicies({ rateLimit: [{ ...limiter, limit }] }))).toEqual([
      `routes[0].policies.rateLimit[0].limit: expected a whole number, found "${limit}"; the period is in "window": write "limit": ${count}, "window": "${window}"`,
    ])
  })

  it.each([
    ['many', 'expected a whole number, found "many"'],
    ['100', 'expected a whole number, found "100"'],
    ['5/ms', 'expected a whole number, found "5/ms"'],
    ['5/month', 'expected a whole number, found "5/month"'],
    ['0/s', 'expected a whole number, found "0/s"'],
    [1.5, 'expected a whole number, found 1.5'],
    [undefined, 'required: expected a whole number'],
  ])('%j is no rate', (limit, message) => {
    expect(diagnostics(withPolicies({ rateLimit: [{ ...limiter, limit }] }))).toEqual([
      `routes[0].policies.rateLimit[0].limit: ${message}`,
    ])
  })
})

it('a rate in an override is told that the limiter has the period', () => {
  const overrides = [{ when: { 'apiKey.tier': 'gold' }, limit: '50/m' }]
  const limiter = { name: 'l', algorithm: 'fixed-window', limit: 5, window: '1m', key: ['client.ip'], overrides }
  expect(diagnostics(withPolicies({ rateLimit: [limiter] }))[0]).toBe(
    'routes[0].policies.rateLimit[0].overrides[0].limit: expected a whole number, found "50/m"; the period is the limiter’s "window": write "limit": 50',
  )
})

describe('a method', () => {
  const methodsOf = (...methods: string[]) => diagnostics(withPolicies({}, { path: '/a', methods }))

  it('of WebDAV may be named', () => {
    expect(methodsOf('GET', 'PROPFIND', 'REPORT', 'QUERY')).toEqual([])
  })

  it.each([
    ['propfind', 'did you mean "PROPFIND"?'],
    ['OPTION', 'did you mean "OPTIONS"?'],
    ['TRACE', '"TRACE" is not supported: an origin repeats the credentials'],
    ['connect', '"CONNECT" is not supported: the runtime opens no tunnels'],
    ['*', '"*" names no method: name each, or leave the list out'],
    ['ANY', '"ANY" names no method: name each, or leave the list out'],
    ['BREW', 'expected one of "GET"'],
  ])('%s is refused', (name, message) => {
    expect(methodsOf(name)[0]).toContain(`routes[0].match.methods[0]: `)
    expect(methodsOf(name)[0]).toContain(message)
  })

  it.each(['POST', 'PATCH', 'LOCK'])('%s is not retried', (name) => {
    const upstreams = { users: { targets: [{ url: 'http://a.test' }], retry: { methods: [name] } } }
    expect(diagnostics({ upstreams })[0]).toContain(`${name} is not idempotent`)
  })

  it('that no route takes by default is not retried on a route that names none', () => {
    const upstream = { name: 'users', retry: { methods: ['PROPFIND'] } }
    const routeOf = (match: object) => diagnostics({ routes: [{ ...route, match, upstream }] })
    expect(routeOf({ path: '/a' })[0]).toContain(
      'routes[0].upstream.retry.methods: has no use here: the route takes only GET, HEAD, POST',
    )
    expect(routeOf({ path: '/a', methods: ['PROPFIND'] })).toEqual([])
  })
})
