import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { overlappingRoutes } from '../../src/config/overlap.ts'
import type { RouteConfig } from '../../src/config/routes-file.ts'
import { METHODS } from '../../src/lib/http-method.ts'
import { compileRouter } from '../../src/routing/router.ts'

type Match = RouteConfig['match']

const all = [...METHODS]

const diagnostics = (...matches: Match[]) =>
  overlappingRoutes(matches.map((match, i) => ({ id: `r${i}`, match, policies: {} }))).map(
    ({ path, message }) => `${path[1]}: ${message}`,
  )

describe('overlappingRoutes', () => {
  it.each<[string, Match[], string[]]>([
    [
      'methods count before headers',
      [
        { path: '/x', methods: all },
        { path: '/x', headers: { 'x-v': '2' } },
      ],
      ['1: nothing reaches this route: all of its requests go to routes[0] "r0"'],
    ],
    [
      'one of two hosts is covered',
      [
        { path: '/x', hosts: ['a.test', 'b.test'] },
        { path: '/x', hosts: ['a.test'], methods: all },
      ],
      [],
    ],
    [
      'both hosts are covered, by two routes',
      [
        { path: '/x', hosts: ['a.test', 'B.test'] },
        { path: '/x', hosts: ['A.test'], methods: all },
        { path: '/x', hosts: ['b.test'], methods: all },
      ],
      ['0: nothing reaches this route: all of its requests go to routes[1] "r1", routes[2] "r2"'],
    ],
    [
      'the route of all methods wants a header of its own',
      [
        { path: '/x', methods: all, headers: { 'x-w': '1' } },
        { path: '/x', headers: { 'x-v': '2' } },
      ],
      [],
    ],
    [
      'the same header with another value',
      [
        { path: '/x', headers: { 'x-v': '1' } },
        { path: '/x', headers: { 'x-v': '2' } },
      ],
      [],
    ],
    [
      'two routes share one host',
      [
        { path: '/x', hosts: ['a.test', 'b.test'], methods: ['GET', 'PUT'] },
        { path: '/x', hosts: ['c.test', 'b.test'], methods: ['PUT'] },
      ],
      ['1: the same requests (PUT) match routes[0] "r0"'],
    ],
    [
      'HEAD beside GET',
      [
        { path: '/x', methods: ['GET'] },
        { path: '/x', methods: ['HEAD'] },
      ],
      [],
    ],
    ['a path that cannot be read', [{ path: 'x' }, { path: 'x' }], []],
  ])('%s', (_, matches, expected) => {
    expect(diagnostics(...matches)).toEqual(expected)
  })

  it('complains of exactly the routes that the router never finds', () => {
    const some = <T>(values: T[]) => fc.subarray(values, { minLength: 1 })
    const match: fc.Arbitrary<Match> = fc.record(
      {
        path: fc.constantFrom('/x', '/x', '/x', '/x', '/:p', '/:q/*'),
        methods: fc.oneof(
          { weight: 5, arbitrary: fc.constant(all) },
          some<(typeof METHODS)[number]>(['GET', 'HEAD', 'PUT']),
          some(all),
        ),
        hosts: fc.constantFrom(['a.test'], ['a.test', 'b.test'], ['*.test', 'a.test']),
        headers: fc.oneof(fc.constant({ h: '1' }), fc.constant({ h: '2' }), fc.constant({ h: '1', i: '1' })),
        query: fc.constant({ q: '1' }),
      },
      { requiredKeys: ['path'] },
    )
    const requests = ['a.test', 'b.test', 'c.test', 'other'].flatMap((host) =>
      [{}, { h: '1' }, { h: '2' }, { i: '1' }, { h: '1', i: '1' }].flatMap((headers) =>
        ['', '?q=1'].map((query) => new Request(`http://${host}/${query}`, { headers: { host, ...headers } })),
      ),
    )
    let unreachable = 0
    fc.assert(
      fc.property(fc.array(match, { minLength: 2, maxLength: 5 }), (matches) => {
        const router = compileRouter(matches)
        const found = new Set<number>()
        for (const request of requests)
          for (const path of ['/x', '/y', '/x/y', '/y/z'])
            for (const method of METHODS) {
              const result = router(method, path, request)
              if (result.kind === 'route') found.add(result.index)
            }
        const messages = diagnostics(...matches)
        for (const i of matches.keys()) {
          const own = messages.filter((text) => text.startsWith(`${i}: `))
          // Two routes that are equal for a method or host are an error, even if each is reachable by another.
          if (found.has(i)) expect(own.join()).not.toContain('nothing reaches')
          else expect(own).toHaveLength(1)
          if (own.join().includes('nothing reaches')) unreachable++
        }
      }),
      { numRuns: 1_000 },
    )
    expect(unreachable).toBeGreaterThan(20)
  })
})
