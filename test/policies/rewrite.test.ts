import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import type { Exchange, Identity } from '../../src/core/exchange.ts'
import { problemCode } from '../../src/core/problem.ts'
import { rewrite } from '../../src/policies/rewrite.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts, makeTestPlatform, originUrl } from '../support/platform.ts'

const facts = makeTestFacts({ params: ['id', '*'], hasAuth: true })
const identity: Identity = {
  provider: 'm',
  issuer: 'i',
  subject: 'ann',
  scopes: [],
  roles: [],
  claims: { 'a&b': 'x&y=z' },
}

/** The raw target that a real origin gets, or the code of the refusal. */
async function target(config: unknown, parts: Partial<Exchange>, search = ''): Promise<string> {
  const x = makeTestExchange(new Request(`https://gw.test/users/7${search}`), { identity, ...parts })
  const response = await rewrite.compile(
    z.parse(rewrite.config, config),
    makeTestPlatform(),
    facts,
  )(() => fetch(originUrl + x.outgoing.path + x.outgoing.search))(x)
  return problemCode(response) ?? (await response.json<{ target: string }>()).target
}

/** The query after a rewrite, as text. */
function queryAfter(query: object, search: string): string {
  const x = makeTestExchange(undefined, { identity })
  x.outgoing.search = search
  void rewrite.compile(
    z.parse(rewrite.config, { query }),
    makeTestPlatform(),
    facts,
  )(() => Promise.resolve(new Response()))(x)
  return x.outgoing.search
}

describe('rewrite, path', () => {
  it.each([
    [{ path: '/v1/users/{params.id}' }, { id: '7' }, '/v1/users/7?q=1'],
    [{ path: '/v1/users/{params.id}' }, { id: 'a/b?c#d é' }, '/v1/users/a%2Fb%3Fc%23d%20%C3%A9?q=1'],
    [{ path: '/orders/*' }, { '*': 'a/b%20c' }, '/orders/a/b%20c?q=1'],
    [{ path: '/u/{jwt.sub}/*' }, { '*': 'x' }, '/u/ann/x?q=1'],
    [{ query: {} }, {}, '/users/7?q=1'],
    [{ path: '/v1/{params.id}' }, { id: '..' }, 'path-invalid'],
    [{ path: '/v1/{params.id}' }, { id: '../../admin' }, 'path-invalid'],
    [{ path: '/v1/{jwt.tenant}' }, {}, 'claim-mismatch'],
  ])('%j with %j → %s', async (config, params, expected) => {
    expect(await target(config, { params }, '?q=1')).toBe(expected)
  })
})

describe('rewrite, query', () => {
  it.each([
    [{ remove: ['debug'] }, '?a=1&debug=1&b=2&debug', '?a=1&b=2'],
    [{ remove: ['debug'] }, '?debug=1', ''],
    [{ remove: ['debug'] }, '?%64ebug=1&de%62ug&Debug=1', '?Debug=1'],
    [{ remove: ['a b'] }, '?a+b=1&a%20b=2&ab=3', '?ab=3'],
    [{ set: { src: 'edge' } }, '', '?src=edge'],
    [{ set: { src: 'edge' } }, '?src=me&a=%7e&&b&=c', '?a=%7e&&b&=c&src=edge'],
    [{ set: { user: '{jwt.sub}', note: 'a b&c' } }, '?user=admin', '?user=ann&note=a b&c'],
    [{ set: { 'a&b': '{jwt.a&b}' } }, '', '?a%26b=x%26y%3Dz'],
    [{ set: { tenant: '{jwt.tenant}' } }, '?tenant=mine', ''],
  ])('%j: %s → %s', (query, search, expected) => {
    expect(queryAfter(query, search)).toBe(expected)
  })

  it('keeps every other pair byte for byte and in order', () => {
    const name = fc.string({
      unit: fc.constantFrom('a', 'b', '%61', '%2', '+', '%', 'é', '?', '/', ';', '%26'),
      maxLength: 3,
    })
    const pair = fc.oneof(
      name,
      fc.tuple(name, name).map((parts) => parts.join('=')),
    )
    fc.assert(
      fc.property(
        fc.array(pair, { minLength: 1 }),
        fc.uniqueArray(fc.constantFrom<string>('a', 'b', 'ab', 'a b')),
        (pairs, remove) => {
          fc.pre(pairs.join('&') !== '')
          // The runtime's own parser defines the name of a pair.
          const nameOf = (text: string) => [...new URLSearchParams(`&${text}`).keys()][0] ?? ''
          const expected = pairs.filter((text) => !remove.includes(nameOf(text)) && nameOf(text) !== 'x')
          const after = queryAfter({ set: { x: '1' }, remove }, `?${pairs.join('&')}`)
          expect(after).toBe(`?${[...expected, 'x=1'].join('&')}`)
        },
      ),
      { numRuns: 1000 },
    )
  })
})

describe('rewrite, configuration', () => {
  it('says where a template is wrong', () => {
    const config = z.parse(rewrite.config, { path: 'users', query: { set: { a: '{jwt.sub' } } })
    expect(rewrite.check!(config, facts)).toEqual([
      { path: ['path'], message: 'expected a path that starts with "/"' },
      { path: ['query', 'set', 'a'], message: expect.stringContaining('expected every "{"') },
    ])
  })

  it('finds nothing wrong with a good one', () => {
    const config = z.parse(rewrite.config, {
      path: '/v1/{params.id}/*',
      query: { set: { a: '{client.country}' }, remove: ['b'] },
    })
    expect(rewrite.check!(config, facts)).toEqual([])
  })
})
