import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Exchange, Identity } from '../../src/core/exchange.ts'
import { checkPath, checkTemplate, compilePath, compileTemplate } from '../../src/core/template.ts'
import { canonicalPath } from '../../src/lib/canonical-path.ts'
import { encodeHeaderValue } from '../../src/lib/header.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts } from '../support/platform.ts'

const route = makeTestFacts({ params: ['id', '*'], hasAuth: true })

const claims = {
  plan: 'gold',
  level: 3,
  vip: true,
  nested: { deep: 'down' },
  roles: ['a', 'b'],
  odd: ['a,b'],
  none: null,
  'https://example.com/tenant': 'acme',
}
const identity: Identity = { provider: 'main', issuer: 'i', subject: 'ann', scopes: [], roles: [], claims }

const exchange = (parts: Partial<Exchange> = {}) =>
  makeTestExchange(new Request('https://gw.test/users/7?q=1'), { params: { id: '7', '*': 'a/b' }, identity, ...parts })

describe('compileTemplate', () => {
  it.each([
    ['plain', 'plain'],
    ['', ''],
    ['{params.id}', '7'],
    ['user:{params.id}/{jwt.sub}!', 'user:7/ann!'],
    ['{client.ip}', '192.0.2.1'],
    ['{client.country}', undefined],
    ['{request.id}', '0af7651916cd43dd8448eb211c80319c'],
    ['{request.method} {request.path} {request.host} {route}', 'GET /users/7 gw.test test'],
    ['{jwt.plan} {jwt.level} {jwt.vip}', 'gold 3 true'],
    ['{jwt.nested.deep}', 'down'],
    ['{jwt.https://example.com/tenant}', 'acme'],
    ['{jwt.roles}', 'a,b'],
    ['{jwt.roles.1}', 'b'],
    ['{jwt.odd}', undefined],
    ['{jwt.nested}', undefined],
    ['{jwt.none}', undefined],
    ['{jwt.absent} or not', undefined],
    ['{jwt.plan.length}', undefined],
    ['{jwt.constructor}', undefined],
    ['{jwt.nested.toString}', undefined],
    ['{{not}} {{{jwt.sub}}}', '{not} {ann}'],
  ])('%s → %s', (text, expected) => {
    expect(checkTemplate(text, route)).toBeUndefined()
    expect(compileTemplate(text).render(exchange())).toBe(expected)
  })

  it('has no identity, and no address, when there is none', () => {
    const x = exchange({ identity: undefined, client: { ...exchange().client, ip: '' } })
    expect(compileTemplate('{jwt.sub}').render(x)).toBeUndefined()
    expect(compileTemplate('{jwt.plan}').render(x)).toBeUndefined()
    expect(compileTemplate('{client.ip}').render(x)).toBeUndefined()
  })

  it('encodes values and never the text around them', () => {
    expect(compileTemplate('a b {params.id}', () => (value) => `<${value}>`).render(exchange())).toBe('a b <7>')
    expect(compileTemplate('{params.id}', () => () => undefined).render(exchange())).toBeUndefined()
  })

  it('names its references', () => {
    expect(compileTemplate('{jwt.sub}-{params.id}').references).toEqual(['jwt.sub', 'params.id'])
  })
})

describe('checkTemplate', () => {
  it.each([
    ['{params.idd}', 'did you mean "params.id"?'],
    ['{client.pi}', 'did you mean "client.ip"?'],
    ['{constructor}', 'is no reference'],
    ['{jwt.}', 'is no reference'],
    ['{jwt.a..b}', 'is no reference'],
    ['{}', 'is no reference'],
    ['{jwt.sub', 'expected every "{"'],
    ['jwt.sub}', 'expected every "{"'],
  ])('%s: %s', (text, expected) => {
    expect(checkTemplate(text, route)).toContain(expected)
  })

  it('wants auth on a route whose template names a claim', () => {
    expect(checkTemplate('{jwt.sub}', { ...route, hasAuth: false })).toContain('needs the policy "auth"')
  })
})

describe('encodeHeaderValue', () => {
  it.each([
    ['ann@example.com', 'ann@example.com'],
    ['a\r\nx-admin: 1', 'a%0D%0Ax-admin: 1'],
    ['a\0', 'a%00'],
    ['é€😀', '%C3%A9%E2%82%AC%F0%9F%98%80'],
    ['100%', '100%25'],
    [' Ann Lee ', '%20Ann Lee%20'],
    ['\ud800', '%EF%BF%BD'],
  ])('%j → %s', (value, expected) => {
    expect(encodeHeaderValue(value)).toBe(expected)
  })

  it('never ends the line, survives Headers, and comes back by decodeURIComponent', () => {
    const anyText = fc.string({ unit: 'binary' })
    fc.assert(
      fc.property(anyText, (value) => {
        const sent = new Headers({ x: encodeHeaderValue(value) }).get('x')!
        expect(sent).toMatch(/^[\x20-\x7e]*$/)
        expect(decodeURIComponent(sent)).toBe(value.toWellFormed())
      }),
    )
  })
})

describe('compilePath', () => {
  const rendered = (text: string, parts?: Partial<Exchange>) => compilePath(text).render(exchange(parts))

  it.each([
    ['/v1/users/{params.id}', '/v1/users/7'],
    ['/constant', '/constant'],
    ['/orders/*', '/orders/a/b'],
    ['/*', '/a/b'],
    ['/{jwt.sub}/*', '/ann/a/b'],
  ])('%s → %s', (text, expected) => {
    expect(checkPath(text, route)).toBeUndefined()
    expect(rendered(text)).toBe(expected)
  })

  it.each([
    ['/shop', '/orders'],
    ['/shop/', '/orders/'],
  ])('with an empty rest keeps the last slash of %s as it was', (path, expected) => {
    expect(rendered('/orders/*', { path, params: { '*': '' } })).toBe(expected)
  })

  it.each(['', '.', '..', '../admin', 'a/../b', 'a/.', 'a\\b', 'a\0', 'a\nb', '%2e%2e', 'a%2Fb', '%00'])(
    'refuses %j, which some origin would read as another path',
    (id) => {
      const path = compilePath('/v1/users/{params.id}')
      expect(path.render(exchange({ params: { id } }))).toBeUndefined()
      expect(path.fault(exchange({ params: { id } }))).toBe('path-invalid')
    },
  )

  it('tells a claim that is not there from one that is unfit', () => {
    const path = compilePath('/{jwt.tenant}')
    expect(path.render(exchange())).toBeUndefined()
    expect(path.fault(exchange())).toBe('claim-mismatch')
  })

  it.each(['', '/', '/a', 'a/', 'a//b', '..'])(
    'refuses the claim %j, in which an origin could lose a segment',
    (sub) => {
      const x = exchange({ identity: { ...identity, subject: sub, claims: { v: sub } } })
      expect(compilePath('/u/{jwt.v}').render(x)).toBeUndefined()
    },
  )

  it('refuses values that together make what neither is', () => {
    const x = exchange({ params: { id: '%2' }, identity: { ...identity, claims: { v: 'e' } } })
    expect(compilePath('/{params.id}{jwt.v}').render(x)).toBeUndefined()
  })

  it.each([
    ['a/b', 'a%2Fb'],
    ['/', '%2F'],
    ['/a//b/', '%2Fa%2F%2Fb%2F'],
    ['a?b#c', 'a%3Fb%23c'],
    ['100%', '100%25'],
    ['…', '%E2%80%A6'],
    ['...', '...'],
  ])('encodes %j', (id, expected) => {
    expect(rendered('/u/{params.id}', { params: { id } })).toBe(`/u/${expected}`)
  })

  it('never lets a value add a segment, climb or begin a query', () => {
    const hostile = fc.string({
      unit: fc.constantFrom('.', '/', '\\', '%', '2', 'e', 'f', '?', '#', 'é', '\0', ' ', ';', 'a', '{'),
    })
    const value = fc.oneof(hostile, fc.string({ unit: 'binary' }))
    const text = fc.constantFrom(
      '/u/{params.id}',
      '/u/{params.id}{jwt.v}/x',
      '/.{params.id}/{jwt.v}',
      '/{jwt.v}.',
      '/a/{jwt.v}/*',
    )
    let passed = 0
    fc.assert(
      fc.property(text, value, value, (template, id, v) => {
        const x = exchange({ params: { id, '*': 'r/s' }, identity: { ...identity, claims: { v } } })
        const path = compilePath(template).render(x)
        if (path === undefined) return
        passed++
        const segments = template.replace('*', 'r/s').split('/').length
        expect(path.split('/')).toHaveLength(segments)
        expect(new URL(`http://o${path}?q`).pathname).toBe(path)
        expect(canonicalPath(path)).toBe(path)
        if (template === '/u/{params.id}') expect(decodeURIComponent(path.slice(3))).toBe(id.toWellFormed())
        // An origin that decodes before it splits must not find `..` either.
        expect(decodeURIComponent(path).split(/[/\\]/)).not.toContain('..')
      }),
      { numRuns: 2000 },
    )
    expect(passed).toBeGreaterThan(300)
  })
})

describe('checkPath', () => {
  it.each([
    ['users', 'starts with "/"'],
    ['{params.id}', 'starts with "/"'],
    ['/a*', 'only as a last "/*"'],
    ['/*/a', 'only as a last "/*"'],
    ['/{params.id}*', 'only as a last "/*"'],
    ['/a//b', 'canonical'],
    ['/a/../b', 'canonical'],
    ['/a?b=1', 'canonical'],
    ['/a#b', 'canonical'],
    ['/a b', 'canonical'],
    ['/%2e', 'canonical'],
    ['/%zz', 'canonical'],
    ['/{{a}}', 'canonical'],
    ['/{params.*}', 'instead of "{params.*}"'],
    ['/{client.country}', 'only {params.…} and {jwt.…}'],
    ['/{params.x}', 'no parameter'],
  ])('%s: %s', (text, expected) => {
    expect(checkPath(text, route)).toContain(expected)
  })

  it('wants a wildcard to carry on', () => {
    expect(checkPath('/a/*', { ...route, params: ['id'] })).toContain('this match has none')
  })
})
