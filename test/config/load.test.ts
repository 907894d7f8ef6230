import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { diagnostics, main, route, users, withPolicies } from '../support/config-file.ts'

const limiter = { name: 'l', algorithm: 'fixed-window', limit: 5, window: '1s', key: ['client.ip'] }

describe('loadConfig', () => {
  it('fills in defaults, and turns durations into milliseconds and sizes into bytes', () => {
    const loaded = loadConfig({
      version: 1,
      upstreams: { users: { ...users, timeout: '2s', retry: { perTryTimeout: '500ms' } } },
      routes: [{ ...route, policies: { bodyLimit: { max: '1kb' } } }],
    })
    expect(loaded).toMatchObject({
      config: {
        clientAddress: { source: 'runtime', trustedProxies: [] },
        upstreams: {
          users: {
            timeout: 2000,
            targets: [{ weight: 1 }],
            retry: { attempts: 2, perTryTimeout: 500, backoff: { base: 25, max: 250 } },
          },
        },
        routes: [{ policies: { bodyLimit: { max: 1024 } } }],
      },
    })
  })

  it.each<[string, Record<string, unknown>, string | RegExp]>([
    ['an unknown key', { upstreems: {} }, /^upstreems: unknown key; did you mean "upstreams"\?/],
    ['a wrong version', { version: '1' }, /^version: expected the number 1, found "1"$/],
    ['no version', { version: undefined }, /^version: required: expected the number 1$/],
    ['a missing part', { routes: undefined }, 'routes: required: expected array'],
    ['a wrong type', { routes: {} }, 'routes: expected array, found an object'],
    ['no routes', { routes: [] }, 'routes: expected at least one route'],
    [
      'an unknown key deep down',
      { upstreams: { users: { ...users, retry: { atempts: 1 } } } },
      /^upstreams\.users\.retry\.atempts: unknown key; did you mean "attempts"\?/,
    ],
    [
      'an unknown upstream',
      { routes: [{ ...route, upstream: 'usrs' }] },
      /^routes\[0\]\.upstream: no upstream "usrs"; did you mean "users"\?/,
    ],
    [
      'an inherited name as an upstream',
      { routes: [{ ...route, upstream: 'constructor' }] },
      /^routes\[0\]\.upstream: no upstream "constructor"/,
    ],
    [
      'an unknown upstream in an override',
      { routes: [{ ...route, upstream: { name: 'x' } }] },
      /^routes\[0\]\.upstream\.name: no upstream "x"/,
    ],
    [
      'a bad key in an override',
      { routes: [{ ...route, upstream: { name: 'users', timeut: '1s' } }] },
      /^routes\[0\]\.upstream\.timeut: unknown key; did you mean "timeout"\?/,
    ],
    [
      'an override that contradicts',
      { routes: [{ ...route, upstream: { name: 'users', timeout: '1s', retry: { perTryTimeout: '2s' } } }] },
      /^routes\[0\]\.upstream\.retry\.perTryTimeout: expected less than the timeout \(1s\), found 2s$/,
    ],
    [
      'a bad duration',
      { upstreams: { users: { ...users, timeout: '5 sec' } } },
      /^upstreams\.users\.timeout: expected a duration such as .*, found "5 sec"$/,
    ],
    [
      'a duration that is too long',
      { upstreams: { users: { ...users, timeout: '32d' } } },
      /^upstreams\.users\.timeout: expected a duration from 1ms to 31d, found "32d"$/,
    ],
    [
      'a breaker that closes before it opens',
      { upstreams: { users: { ...users, circuitBreaker: { openDuration: '10m' } } } },
      /: expected at least openDuration \(10m\), found 5m$/,
    ],
    [
      'a method twice',
      { routes: [{ ...route, match: { path: '/a', methods: ['GET', 'GET'] } }] },
      /^routes\[0\]\.match\.methods\[1\]: "GET" stands twice$/,
    ],
    [
      'a path without its slash',
      { routes: [{ ...route, match: { path: 'a' } }] },
      /^routes\[0\]\.match\.path: expected a path that starts with "\/", found "a"$/,
    ],
    [
      'a redirect to a path without its slash',
      { routes: [{ id: 'a', match: { path: '/a' }, redirect: { path: 'b' } }] },
      /^routes\[0\]\.redirect\.path: expected a text that begins with "\/", found "b"$/,
    ],
    [
      'an almost right name of what is not built',
      withPolicies({ transfrom: { ttl: '1s' } }),
      /^routes\[0\]\.policies\.transfrom: unknown key; "transform" is not supported yet \(expected one of "security", "cors", (?!.*"transform")/,
    ],
    [
      'an almost right choice of what is not built',
      { routes: [{ id: 'a', match: { path: '/a' }, builtin: 'metricks' }] },
      /builtin: "metrics" is not supported yet \(expected one of (?!.*"metrics",).*\), found "metricks"$/,
    ],
    ['a choice of the wrong type', { clientAddress: { source: 7 } }, /source: expected one of "runtime", .*, found 7$/],
    [
      'an id with a space',
      { routes: [{ ...route, id: 'a b' }] },
      /^routes\[0\]\.id: expected letters, .*, found "a b"$/,
    ],
    [
      'a bad URL',
      { upstreams: { users: { targets: [{ url: 'ftp://x' }] } } },
      /^upstreams\.users\.targets\[0\]\.url: expected an absolute http\(s\) URL .*, found "ftp:\/\/x"$/,
    ],
    [
      'a URL with credentials',
      { upstreams: { users: { targets: [{ url: 'http://u:p@x' }] } } },
      /^upstreams\.users\.targets\[0\]\.url: expected/,
    ],
    ['no targets', { upstreams: { users: { targets: [] } } }, 'upstreams.users.targets: expected at least one target'],
    [
      'weights all 0',
      { upstreams: { users: { targets: [{ url: 'http://x', weight: 0 }] } } },
      'upstreams.users.targets: expected at least one target with a weight above 0',
    ],
    [
      'targets chosen by a claim that nobody has',
      { upstreams: { users: { ...users, loadBalancing: 'hash', hashOn: 'jwt.sub' } } },
      'upstreams.users.hashOn: jwt.sub needs the policy "auth" on a route with this upstream',
    ],
    [
      'a retry on POST',
      { upstreams: { users: { ...users, retry: { methods: ['POST'] } } } },
      /^upstreams\.users\.retry\.methods: POST is not idempotent/,
    ],
    [
      'a part of a part that is missing',
      { upstreams: { users: { ...users, sign: { keyid: 'gw' } } } },
      /^upstreams\.users\.sign\.alg: required: expected one of "hmac-sha256", /,
    ],
    ['a policy that is not built', withPolicies({ transform: {} }), 'routes[0].policies.transform: not supported yet'],
    [
      'a limiter without a key',
      withPolicies({ rateLimit: [{ ...limiter, key: undefined }] }),
      /^routes\[0\]\.policies\.rateLimit\[0\]\.key: required/,
    ],
    [
      'a limit of nothing',
      withPolicies({ rateLimit: [{ ...limiter, limit: 0 }] }),
      'routes[0].policies.rateLimit[0].limit: expected at least 1, found 0',
    ],
    [
      'a window that is too short',
      withPolicies({ rateLimit: [{ ...limiter, window: '500ms' }] }),
      'routes[0].policies.rateLimit[0].window: expected a duration from 1s to 31d, found "500ms"',
    ],
    [
      'an answer for the failure of a store that is not asked',
      withPolicies({ rateLimit: [{ ...limiter, consistency: 'local', onStoreError: 'deny' }] }),
      /^routes\[0\]\.policies\.rateLimit\[0\]\.onStoreError: has no use with the consistency "local"/,
    ],
    [
      'a claim by another notation',
      withPolicies({ rateLimit: [{ ...limiter, key: ['jwt.groups[0]'] }] }),
      /^routes\[0\]\.policies\.rateLimit\[0\]\.key\[0\]: expected a claim’s name after "jwt\."/,
    ],
    [
      'a cost header twice',
      withPolicies({ rateLimit: [{ ...limiter, cost: { requestHeader: 'a', responseHeader: 'b', max: 1 } }] }),
      'routes[0].policies.rateLimit[0].cost.responseHeader: has no use beside requestHeader',
    ],
    [
      'an override by what is no claim',
      withPolicies({ rateLimit: [{ ...limiter, overrides: [{ when: { plan: 'gold' }, limit: 1 }] }] }),
      /^routes\[0\]\.policies\.rateLimit\[0\]\.overrides\[0\]\.when\.plan: expected "jwt\.<claim>", "apiKey\.tier" or "apiKey\.id"/,
    ],
    [
      'a provider type that there is not',
      { authProviders: { k: { type: 'apikey' } } },
      /^authProviders\.k\.type: did you mean "apiKey"\?/,
    ],
    [
      'an unknown provider',
      withPolicies({ auth: { providers: ['mian'] } }),
      /^routes\[0\]\.policies\.auth\.providers\[0\]: .*did you mean "main"\?/,
    ],
    [
      'a policy with an unknown key',
      withPolicies({ bodyLimit: { max: '1mb', maximm: '1mb' } }),
      /^routes\[0\]\.policies\.bodyLimit\.maximm: unknown key; did you mean "max"\?/,
    ],
    [
      'a mistake in defaults, once',
      {
        defaults: { policies: { bodyLimt: { max: '1mb' } } },
        routes: [route, { ...route, id: 'b', match: { path: '/b' } }],
      },
      /^defaults\.policies\.bodyLimt: unknown key; did you mean "bodyLimit"\?/,
    ],
    [
      'a provider with both kinds of key',
      {
        authProviders: {
          main: { ...main, secret: { $secret: 'S' }, jwksUri: undefined, keys: 'self' },
        },
      },
      /^authProviders\.main\.secret: has no use/,
    ],
    [
      'HS256 with published keys',
      { authProviders: { main: { ...main, algorithms: ['HS256'] } } },
      /^authProviders\.main\.algorithms: HS algorithms go with "secret"/,
    ],
    [
      'a secret in the file',
      { authProviders: { main: { ...main, jwksUri: undefined, secret: 'hunter2' } } },
      /^authProviders\.main\.secret: expected \{ "\$secret": "NAME" \}(?!.*hunter2)/,
    ],
    [
      'no terminal',
      { routes: [{ id: 'a', match: { path: '/a' } }] },
      'routes[0]: expected exactly one of upstream, redirect, respond, builtin; found none',
    ],
    [
      'two terminals',
      { routes: [{ ...route, respond: {} }] },
      'routes[0]: expected exactly one of upstream, redirect, respond, builtin; found upstream and respond',
    ],
    [
      'an unknown builtin',
      { routes: [{ id: 'a', match: { path: '/a' }, builtin: 'helth' }] },
      /^routes\[0\]\.builtin: did you mean "health"\? .*, found "helth"$/,
    ],
    [
      'a builtin that is not built',
      { routes: [{ id: 'a', match: { path: '/a' }, builtin: 'metrics' }] },
      /^routes\[0\]\.builtin: "metrics" is not supported yet/,
    ],
    [
      'the same id twice',
      { routes: [route, { ...route, match: { path: '/b' } }] },
      'routes[1].id: routes[0] has the id "a" already',
    ],
    [
      'the same route twice',
      { routes: [route, { ...route, id: 'b' }] },
      'routes[1].match: the same requests (any method) match routes[0] "a"',
    ],
    [
      'routes that differ in a name only',
      {
        routes: [
          { ...route, match: { path: '/x/:a', methods: ['GET', 'PUT'] } },
          { ...route, id: 'b', match: { path: '/x/:b', methods: ['PUT'] } },
        ],
      },
      'routes[1].match: the same requests (PUT) match routes[0] "a"',
    ],
    [
      'a shadowed route',
      {
        routes: [
          route,
          { ...route, id: 'b', match: { path: '/a', methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] } },
        ],
      },
      /^routes\[0\]\.match: nothing reaches this route/,
    ],
    [
      'a path that is not canonical',
      { routes: [{ ...route, match: { path: '/a//b' } }] },
      'routes[0].match.path: no request can match this spelling; expected "/a/b"',
    ],
    [
      'a star in the middle',
      { routes: [{ ...route, match: { path: '/a/*/b' } }] },
      'routes[0].match.path: "*" stands only as a last segment, "/*"',
    ],
    [
      'an unknown method',
      { routes: [{ ...route, match: { path: '/a', methods: ['GTE'] } }] },
      /^routes\[0\]\.match\.methods\[0\]: did you mean "GET"\?/,
    ],
    [
      'a host with a port',
      { routes: [{ ...route, match: { path: '/a', hosts: ['a.test:80'] } }] },
      /^routes\[0\]\.match\.hosts\[0\]: expected a host/,
    ],
    [
      'a redirect that carries nothing',
      { routes: [{ id: 'a', match: { path: '/a' }, redirect: { path: '/b/*' } }] },
      /^routes\[0\]\.redirect\.path: "\/\*" stands for/,
    ],
    [
      'a redirect with two ports',
      { routes: [{ id: 'a', match: { path: '/a' }, redirect: { path: '/b', host: 'b.test:81', port: 82 } }] },
      'routes[0].redirect.port: has no use beside a "host" with a port',
    ],
    [
      'a bad proxy',
      { clientAddress: { trustedProxies: ['10.0.0.0/33'] } },
      /^clientAddress\.trustedProxies\[0\]: expected a network such as .*, found "10.0.0.0\/33"$/,
    ],
    ['config tests', { tests: [] }, 'tests: not supported yet'],
  ])('refuses %s', (_, parts, expected) => {
    const found = diagnostics(parts)
    expect(found[0]).toMatch(expected)
    expect(found).toHaveLength(1)
  })

  it('lays defaults under every route: objects merge, null switches off', () => {
    const loaded = loadConfig({
      version: 1,
      upstreams: { users },
      defaults: { policies: { bodyLimit: { max: '1mb' }, ip: { allow: ['10.0.0.0/8'], deny: [] } } },
      routes: [
        route,
        { ...route, id: 'b', match: { path: '/b' }, policies: { ip: { allow: ['192.0.2.0/24'] }, bodyLimit: null } },
      ],
    })
    expect(loaded).toMatchObject({
      config: {
        routes: [
          { policies: { bodyLimit: { max: 1024 ** 2 }, ip: { allow: ['10.0.0.0/8'] } } },
          { policies: { bodyLimit: null, ip: { allow: ['192.0.2.0/24'], deny: [] } } },
        ],
      },
    })
  })

  it('refuses one limiter name with two meanings', () => {
    const routes = [
      { ...route, policies: { rateLimit: [limiter] } },
      { ...route, id: 'b', match: { path: '/b' }, policies: { rateLimit: [{ ...limiter, limit: 6 }] } },
    ]
    expect(diagnostics({ routes })).toEqual([
      'routes[1].policies.rateLimit[0].name: routes[0] has a limiter "l" with other settings; limiters of one name share a count',
    ])
  })

  it('takes limiters of one name that differ in what a request costs', () => {
    const routes = [
      { ...route, policies: { rateLimit: [limiter] } },
      { ...route, id: 'b', match: { path: '/b' }, policies: { rateLimit: [{ ...limiter, cost: 3 }] } },
      { ...route, id: 'c', match: { path: '/c' }, policies: { rateLimit: [{ ...limiter, cost: 0 }] } },
    ]
    expect(diagnostics({ routes })).toEqual([])
  })

  it.each([null, 7, [], 'x'])('refuses %j as a whole', (json) => {
    expect(loadConfig(json)).toMatchObject({ diagnostics: [{ path: [] }] })
  })
})
