import { expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { diagnosticText } from '../../src/config/schema/diagnostic.ts'

const AUTH = { main: { type: 'jwt', issuer: 'i', audience: 'a', algorithms: ['HS256'], secret: { $secret: 'S' } } }
const auth = { providers: ['main'] }

/** What is wrong with a route that has these policies, a line each. */
function diagnostics(policies: object, route: object = { upstream: 'shop' }): string[] {
  const loaded = loadConfig({
    version: 1,
    authProviders: AUTH,
    upstreams: {
      shop: { targets: [{ url: 'http://127.0.0.1:1' }] },
      next: { targets: [{ url: 'http://127.0.0.1:2' }] },
    },
    routes: [{ id: 'a', match: { path: '/a/:id' }, policies, ...route }],
  })
  return 'diagnostics' in loaded ? loaded.diagnostics.map(diagnosticText) : []
}

it.each<[what: string, policies: object]>([
  ['nothing said', { cache: {} }],
  [
    'everything said',
    {
      cache: {
        ttl: '1m',
        override: true,
        key: { query: ['a'], headers: ['X-B'], unkeyed: 'strip', forward: ['X-Request-Id', 'traceparent'] },
        tags: ['u:{params.id}'],
        collapse: false,
      },
    },
  ],
  [
    'a caller’s own',
    { auth, cache: { key: { identity: 'sub' } }, headers: { request: { set: { 'x-user': '{jwt.sub}' } } } },
  ],
  [
    'a tenant’s',
    {
      auth,
      cache: { key: { identity: 'tenant', tenantClaim: 'org.id' } },
      rewrite: { query: { set: { org: '{jwt.org.id}' } } },
    },
  ],
  ['everybody’s', { auth, cache: { key: { identity: 'none' } } }],
  [
    'sides that the key tells apart',
    {
      auth,
      cache: { key: { headers: ['x-canary'], identity: 'sub' } },
      split: [{ upstream: 'next', percent: 10, stickyOn: 'jwt.sub', overrideHeader: 'X-Canary' }],
    },
  ],
  ['a split by lot', { cache: {}, split: [{ upstream: 'next', percent: 10 }] }],
])('takes %s', (_, policies) => {
  expect(diagnostics(policies)).toEqual([])
})

it.each<[policies: object, message: string]>([
  [{ auth, cache: {} }, 'routes[0].policies.cache.key.identity: this route has "auth": expected who shares a response'],
  [{ cache: { key: { identity: 'sub' } } }, 'identity: "sub" needs the policy "auth"'],
  [{ auth, cache: { key: { identity: 'sub', tenantClaim: 'x' } } }, 'tenantClaim: has no use without'],
  [{ cache: { override: true } }, 'override: expected a "ttl"'],
  [{ cache: { tags: ['{params.nam}'] } }, 'tags[0]: no parameter "{params.nam}"'],
  [{ cache: { key: { headers: ['Range'] } } }, 'headers[0]: expected a header that selects a representation'],
  [{ cache: { key: { query: ['a', 'a'] } } }, 'query[1]: "a" stands twice'],
  [{ cache: { ttl: '40d' } }, 'ttl: expected a duration'],
  [{ cache: { tll: '4d' } }, 'tll'],
  [
    { auth, cache: { key: { identity: 'none' } }, headers: { request: { set: { 'x-user': '{jwt.sub}' } } } },
    'headers.request.set["x-user"]: "{jwt.sub}" is not part of the cache’s key',
  ],
  [
    { auth, cache: { key: { identity: 'tenant' } }, rewrite: { path: '/x/{jwt.sub}' } },
    'rewrite.path: "{jwt.sub}" is not part of the cache’s key',
  ],
  [{ cache: {}, rewrite: { query: { set: { ip: '{client.ip}' } } } }, 'query.set.ip: "{client.ip}" is not part'],
  [{ cache: {}, headers: { request: { add: { 'x-c': '{client.country}' } } } }, '"{client.country}" is not part'],
  [
    { cache: {}, split: [{ upstream: 'next', percent: 10, overrideHeader: 'X-Canary' }] },
    'split[0].overrideHeader: "header:x-canary" is not part of the cache’s key',
  ],
  [
    { cache: {}, split: [{ upstream: 'next', percent: 10, stickyOn: 'client.ip' }] },
    'split[0].stickyOn: "client.ip" is not part of the cache’s key',
  ],
  [
    { auth, cache: { key: { identity: 'none' } }, split: [{ upstream: 'next', percent: 10, stickyOn: 'jwt.sub' }] },
    'stickyOn: "jwt.sub" is not part of the cache’s key, so the selection for one caller would apply to all; expected "cache": { "key": { "identity": "sub" } }',
  ],
])('refuses %j', (policies, message) => {
  expect(diagnostics(policies).join('\n')).toContain(message)
})

it('has no use beside what answers without an upstream', () => {
  expect(diagnostics({ cache: {} }, { respond: { body: 'x' } }).join('\n')).toContain(
    'cache: has no use beside "respond"',
  )
})

it.each<[key: object, message: string]>([
  [{ unkeyed: 'drop' }, 'unkeyed'],
  [{ forward: ['Cookie'] }, 'key.forward[0]: expected a header on which no response depends'],
  [{ forward: ['x-a', 'if-none-match'] }, 'key.forward[1]: expected a header on which no response depends'],
  [{ forward: ['x-a', 'X-A'] }, 'key.forward'],
  [{ forward: ['accept'] }, '"accept" is forwarded already, as one of "headers"'],
  [{ unkeyed: 'trust', forward: ['x-a'] }, 'has no use with "unkeyed": "trust"'],
])('refuses the key %j', (key, message) => {
  expect(diagnostics({ cache: { key } })).toEqual([expect.stringContaining(message)])
})
