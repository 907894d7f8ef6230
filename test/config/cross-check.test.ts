import { describe, expect, it } from 'vitest'
import { environmentDiagnostics } from '../../src/config/environment.ts'
import { loadConfig } from '../../src/config/load.ts'
import { diagnosticText } from '../../src/config/schema/diagnostic.ts'

const users = { targets: [{ url: 'http://127.0.0.1:9101' }] }
const jwt = { type: 'jwt', issuer: 'i', audience: 'a' }
const published = { ...jwt, algorithms: ['ES256'], jwksUri: 'https://id.test/jwks' }
const shared = { ...jwt, algorithms: ['HS256'], secret: { $secret: 'S' } }

function load(parts: Record<string, unknown>) {
  return loadConfig({
    version: 1,
    upstreams: { users },
    routes: [{ id: 'a', match: { path: '/a' }, upstream: 'users' }],
    ...parts,
  })
}

function diagnostics(parts: Record<string, unknown>): string[] {
  const loaded = load(parts)
  return 'diagnostics' in loaded ? loaded.diagnostics.map(diagnosticText) : []
}

/** A file with one route that has this `terminal`. */
const routeOf = (terminal: object, policies: object = {}) => ({
  routes: [{ id: 'a', match: { path: '/a' }, ...terminal, policies }],
})
const redirectTo = (host: string) => routeOf({ redirect: { path: '/b', host } })
const upstreamOf = (parts: object, routes?: object[]) => ({
  upstreams: { users: { ...users, ...parts } },
  ...(routes && { routes }),
})

describe('what could only be answered with a 500', () => {
  it.each([204, 205, 304])('refuses a body with a %i', (status) => {
    expect(diagnostics(routeOf({ respond: { status, body: '' } }))).toEqual([
      `routes[0].respond.body: a ${status} has no body (RFC 9110 §15)`,
    ])
    expect(diagnostics(routeOf({ respond: { status } }))).toEqual([])
    expect(new Response(null, { status }).status).toBe(status)
  })

  it.each(['a\nb', 'a\r', '\0', 'a\x7f', '€', 'é', '\t'])('refuses the header value %j', (value) => {
    expect(diagnostics(routeOf({ respond: { headers: { 'x-a': value } } }))).toEqual([
      `routes[0].respond.headers["x-a"]: expected printable ASCII, found ${JSON.stringify(value)}`,
    ])
  })

  it.each([
    'a b\n',
    'a b',
    '',
    'a/b',
    'u@a',
    'a:',
    'a:x',
    'a:65536',
    'https://a',
    '*.a',
    '[::1',
    '[1::2::3]',
    '1.2.3.256',
    'a..b',
    'é.test',
  ])('refuses a redirect to the host %j', (host) => {
    expect(diagnostics(redirectTo(host))).toEqual([
      expect.stringMatching(/^routes\[0\]\.redirect\.host: expected a host .*, found "/),
    ])
  })

  it.each(['api.example.com', 'a:8443', 'localhost', '127.0.0.1:80', '[::1]', '[2001:db8::1]:8080'])(
    'accepts a redirect to the host %j',
    (host) => {
      expect(diagnostics(redirectTo(host))).toEqual([])
    },
  )
})

describe('what would be ignored', () => {
  const slow = (breaker: object, timeout = '15s') => upstreamOf({ timeout, circuitBreaker: breaker })
  const tooSlow = (timeout: string, found: string) =>
    `upstreams.users.circuitBreaker.slowCallDuration: expected less than the timeout (${timeout}), which no call outlasts; found ${found}`
  const has = (at: string, what: string) => `${at}: ${what}`

  it.each<[string, Record<string, unknown>, string]>([
    [
      'proxies that are not asked',
      { clientAddress: { trustedProxies: ['10.0.0.0/8'] } },
      'clientAddress.trustedProxies: has no use with the source "runtime"; expected "x-forwarded-for" as clientAddress.source',
    ],
    [
      'X-Forwarded-For of nobody',
      { clientAddress: { source: 'x-forwarded-for' } },
      'clientAddress.trustedProxies: expected the proxies whose X-Forwarded-For is trusted',
    ],
    [
      'everyone as a trusted proxy',
      { clientAddress: { source: 'x-forwarded-for', trustedProxies: ['10.0.0.1', '::ffff:0:0/96'] } },
      'clientAddress.trustedProxies[1]: "::ffff:0:0/96" covers all addresses: each client could claim any address',
    ],
    [
      'statuses that are not retried',
      upstreamOf({ retry: { retriableStatusCodes: [425] } }),
      'upstreams.users.retry.retryOn: expected "retriable-status" among these: retriableStatusCodes has no use without it',
    ],
    [
      'a 429 that is not repeated',
      upstreamOf({
        retry: { retryOn: ['retriable-status'], retriableStatusCodes: [429], respectRetryAfter: false },
      }),
      'upstreams.users.retry.retriableStatusCodes: a 429 is repeated only with respectRetryAfter',
    ],
    [
      'a longest wait below the base',
      upstreamOf({ retry: { backoff: { base: '1s', max: '100ms' } } }),
      'upstreams.users.retry.backoff.max: expected at least base (1s), found 100ms',
    ],
    [
      'a default longest wait below the base',
      upstreamOf({ retry: { backoff: { base: '1s' } } }),
      'upstreams.users.retry.backoff.max: expected at least base (1s), found 250ms',
    ],
    [
      'retries of no method',
      upstreamOf({ retry: { methods: [] } }),
      'upstreams.users.retry.methods: expected at least 1, found an array',
    ],
    [
      'retries of methods that the route does not take',
      upstreamOf({}, [{ id: 'a', match: { methods: ['POST'], path: '/a' }, upstream: { name: 'users', retry: {} } }]),
      'routes[0].upstream.retry.methods: has no use here: the route takes only POST',
    ],
    [
      'a target twice',
      upstreamOf({ targets: [{ url: 'http://a/v1' }, { url: 'http://b' }, { url: 'http://a:80/v1/' }] }),
      'upstreams.users.targets[2].url: is the place of targets[0] as well; give one of them more weight',
    ],
    [
      'targets that go by the same name',
      upstreamOf({ targets: [{ url: 'http://a:443' }, { url: 'https://a' }] }),
      'upstreams.users.targets[1].url: is the place of targets[0] as well; give one of them more weight',
    ],
    ['a slow-call rate that no call reaches', slow({ slowCallRate: 80 }), tooSlow('15s', '1m')],
    ['a default rate that was written', slow({ slowCallRate: 100 }), tooSlow('15s', '1m')],
    ['a slow-call duration beyond the timeout', slow({ slowCallDuration: '2s' }, '2s'), tooSlow('2s', '2s')],
    [
      'times of keys that are not fetched',
      { authProviders: { main: { ...shared, jwksCooldown: '30s' } } },
      has('authProviders.main.jwksCooldown', 'has no use with "secret": no keys are fetched'),
    ],
    [
      'what the runtime writes itself',
      routeOf({ respond: { headers: { 'Content-Length': '2' }, body: 'hello' } }),
      has(
        'routes[0].respond.headers["content-length"]',
        'belongs to the connection, which the runtime controls: it cannot be set',
      ),
    ],
    [
      'rewrite beside a redirect',
      routeOf({ redirect: { path: '/b' } }, { rewrite: { path: '/c' } }),
      has('routes[0].policies.rewrite', 'has no use beside "redirect": no request is sent on'),
    ],
    [
      'rewrite beside respond',
      routeOf({ respond: {} }, { rewrite: { query: { remove: ['a'] } } }),
      has('routes[0].policies.rewrite', 'has no use beside "respond": no request is sent on'),
    ],
    [
      'request headers beside a builtin',
      routeOf({ builtin: 'health' }, { headers: { request: { set: { 'x-a': '1' } } } }),
      has('routes[0].policies.headers.request', 'has no use beside "builtin": no request is sent on'),
    ],
  ])('refuses %s', (_, parts, expected) => {
    expect(diagnostics(parts)).toEqual([expected])
  })

  it.each<[string, Record<string, unknown>]>([
    ['a breaker that says nothing of slow calls', slow({})],
    ['slow calls below the timeout', slow({ slowCallRate: 80, slowCallDuration: '2s' })],
    [
      'slow calls that a route has the time for',
      upstreamOf({ circuitBreaker: { slowCallDuration: '20s' } }, [
        { id: 'a', match: { path: '/a' }, upstream: { name: 'users', timeout: '30s' } },
      ]),
    ],
    ['the source with its proxies', { clientAddress: { source: 'x-forwarded-for', trustedProxies: ['10.0.0.1'] } }],
    [
      'statuses that are retried',
      upstreamOf({ retry: { retryOn: ['retriable-status'], retriableStatusCodes: [425] } }),
    ],
    ['times of keys that are fetched', { authProviders: { main: { ...published, jwksCooldown: '5s' } } }],
    [
      'response headers beside a redirect',
      routeOf({ redirect: { path: '/b' } }, { headers: { response: { remove: ['x'] } } }),
    ],
    [
      'what a redirect only inherits',
      {
        ...routeOf({ redirect: { path: '/b' } }),
        defaults: { policies: { headers: { request: { remove: ['cookie'] } } } },
      },
    ],
    [
      'what a redirect switches off',
      {
        ...routeOf({ redirect: { path: '/b' } }, { rewrite: null }),
        defaults: { policies: { rewrite: { path: '/x' } } },
      },
    ],
  ])('accepts %s', (_, parts) => {
    expect(diagnostics(parts)).toEqual([])
  })
})

describe('a path with an encoded slash', () => {
  const routeAt = (match: object) => diagnostics({ routes: [{ id: 'a', match, upstream: 'users' }] })

  it.each(['/s/a%2Fb', '/a%2Fb/:id', '/a%2Fb/*'])('is refused where no request can have one: %s', (path) => {
    expect(routeAt({ path })).toEqual([
      'routes[0].match.path: every request with "%2F" is answered 400; expected "encodedSlash": "keep" beside this path',
    ])
    expect(routeAt({ path, encodedSlash: 'keep' })).toEqual([])
  })
})

describe('a parameter that only every object has', () => {
  const limiter = { name: 'l', algorithm: 'fixed-window', limit: 5, window: '1m', key: ['param:toString'] }

  it.each<[object, string]>([
    [{ rewrite: { path: '/{params.constructor}' } }, 'rewrite.path: no parameter "{params.constructor}"'],
    [{ rewrite: { path: '/{params.__proto__}' } }, 'rewrite.path: no parameter "{params.__proto__}"'],
    [{ rateLimit: [limiter] }, 'rateLimit[0].key[0]: no parameter "toString"'],
  ])('is refused: %j', (policies, expected) => {
    const match = { path: '/users/:id' }
    expect(diagnostics({ routes: [{ id: 'a', match, upstream: 'users', policies }] })).toEqual([
      expect.stringContaining(`routes[0].policies.${expected}`),
    ])
  })
})

describe('a policy that can do nothing', () => {
  const MESSAGES = {
    geo: 'expected entries in "allow" or "deny"',
    ip: 'expected entries in "allow" or "deny"',
    rules: 'expected "methods", or something to "require" or to "forbid", or "forbidPaths"',
    headers: 'expected something to "set", "add" or "remove" in "request" or "response"',
    rewrite: 'expected a "path", or something to "set" or "remove" in "query"',
  }
  type Name = keyof typeof MESSAGES
  const upstream = 'users'
  const route = (policies: object) => ({ id: 'a', match: { path: '/a' }, upstream, policies })

  it.each<[Name, object]>([
    ['geo', {}],
    ['ip', {}],
    ['ip', { allow: [], deny: [] }],
    ['rules', {}],
    ['rules', { require: {}, forbid: {}, forbidPaths: [] }],
    ['headers', {}],
    ['headers', { request: {}, response: { set: {}, add: {}, remove: [] } }],
    ['rewrite', {}],
    ['rewrite', { query: { set: {}, remove: [] } }],
  ])('is refused: %s %j', (name, config) => {
    const message = MESSAGES[name]
    expect(diagnostics({ routes: [route({ [name]: config })] })).toEqual([`routes[0].policies.${name}: ${message}`])
    const defaults = { policies: { [name]: config } }
    expect(diagnostics({ defaults, routes: [route({})] })).toEqual([`defaults.policies.${name}: ${message}`])
    expect(diagnostics({ defaults, routes: [route({ [name]: null })] })).toEqual([])
  })

  it.each<[Name, object]>([
    ['geo', { deny: ['T1'] }],
    ['ip', { allow: ['10.0.0.0/8'] }],
    ['ip', { deny: ['10.0.0.0/8'] }],
    ['rules', { methods: ['GET'] }],
    ['rules', { require: { 'x-a': '*' } }],
    ['rules', { forbid: { 'x-a': '*' } }],
    ['rules', { forbidPaths: ['/x*'] }],
    ['headers', { request: { remove: ['x-a'] } }],
    ['headers', { response: { add: { 'x-a': '1' } } }],
    ['rewrite', { path: '/b' }],
    ['rewrite', { query: { remove: ['a'] } }],
    ['rewrite', { query: { set: { a: '1' } } }],
  ])('is not one that does, in the route, in the defaults, or in both together: %s %j', (name, config) => {
    const own = route({ [name]: config })
    const empty = route({ [name]: {} })
    expect(diagnostics({ routes: [own] })).toEqual([])
    expect(diagnostics({ defaults: { policies: { [name]: config } }, routes: [empty] })).toEqual([])
    expect(diagnostics({ defaults: { policies: { [name]: {} } }, routes: [own] })).toEqual([])
  })
})

describe('a redirect onto itself', () => {
  const redirect = (match: object, to: object) => diagnostics({ routes: [{ id: 'a', match, redirect: to }] })

  it.each<[object, object]>([
    [{ path: '/old/*' }, { path: '/old/*' }],
    [{ path: '/a' }, { path: '/a', status: 302 }],
    [{ path: '/users/:id/x' }, { path: '/users/{params.id}/x' }],
    [
      { path: '/a', hosts: ['a.test', 'b.test'] },
      { path: '/a', host: 'b.test' },
    ],
    [
      { path: '/a', methods: ['POST'] },
      { path: '/a', status: 307 },
    ],
  ])('refuses %j to %j', (match, to) => {
    expect(redirect(match, to)).toEqual(['routes[0].redirect.path: leads back to this route: an endless redirect'])
  })

  it.each<[object, object]>([
    [{ path: '/old/*' }, { path: '/new/*' }],
    [{ path: '/a' }, { path: '/a', scheme: 'https' }],
    [
      { path: '/a', hosts: ['a.test'] },
      { path: '/a', host: 'b.test' },
    ],
    [
      { path: '/a', methods: ['POST'] },
      { path: '/a', status: 303 },
    ],
  ])('accepts %j to %j', (match, to) => {
    expect(redirect(match, to)).toEqual([])
  })
})

describe('what is wrong with an upstream', () => {
  it('is not said again by every route that overrides another part of it', () => {
    const override = { id: 'a', match: { path: '/a' }, upstream: { name: 'users', timeout: '1s' } }
    expect(diagnostics(upstreamOf({ retry: { methods: ['POST'] } }, [override]))).toEqual([
      expect.stringMatching(/^upstreams\.users\.retry\.methods: POST/),
    ])
    expect(diagnostics(upstreamOf({ retry: { perTryTimeout: '2s' } }, [override]))).toEqual([
      expect.stringMatching(/^routes\[0\]\.upstream\.retry\.perTryTimeout: /),
    ])
  })

  it.each([
    [{ hedge: { after: '15s' } }, 'hedge.after: expected less than the timeout (15s), found 15s'],
    [{ hedge: { after: 'p99' } }, 'hedge.after: expected "p95" or a duration such as "100ms", found "p99"'],
    [{ hedge: { max: 4 } }, /hedge\.max: expected .*3/],
    [{ hedge: { max: 0 } }, /hedge\.max: expected .*1/],
    [{ maxConcurrent: 0 }, /maxConcurrent: expected .*1/],
    [{ maxConcurrent: 1.5 }, /maxConcurrent: expected/],
    [{ retry: { budget: { percent: 101 } } }, /retry\.budget\.percent: expected .*100/],
    [
      { retry: { budget: { percent: 0, minPerSecond: 0 } } },
      'retry.budget: allows no retry at all; expected a percent or a minPerSecond above 0',
    ],
    [{ retry: { methods: ['GET', 'PATCH'] } }, /retry\.methods: PATCH is not idempotent/],
  ])('%j is', (parts, message) => {
    const where = 'upstreams.users.'
    const expected = typeof message === 'string' ? where + message : new RegExp(`^${where}${message.source}`)
    expect(diagnostics(upstreamOf(parts))).toEqual([
      typeof expected === 'string' ? expected : expect.stringMatching(expected),
    ])
  })

  it('is said of what a route makes of it', () => {
    const made = (upstream: object, match: object = { path: '/a' }) =>
      diagnostics(
        upstreamOf({ hedge: { after: '1s' } }, [{ id: 'a', match, upstream: { name: 'users', ...upstream } }]),
      )
    expect(made({ timeout: '1s' })).toEqual([
      'routes[0].upstream.hedge.after: expected less than the timeout (1s), found 1s',
    ])
    expect(made({ timeout: '1s', hedge: null })).toEqual([])
    expect(made({ hedge: {} }, { path: '/a', methods: ['POST'] })).toEqual([
      'routes[0].upstream.hedge: has no use here: only GET and HEAD are hedged',
    ])
    expect(made({ hedge: {} }, { path: '/a', methods: ['POST', 'HEAD'] })).toEqual([])
  })
})

describe('jwksUri', () => {
  const at = (jwksUri: unknown) => ({ authProviders: { main: { ...published, jwksUri } } })

  it('may have a query, and neither credentials nor a fragment', () => {
    expect(diagnostics(at('https://id.test/keys?p=policy'))).toEqual([])
    for (const bad of ['https://id.test/keys#a', 'https://id.test/keys#', 'ftp://id.test', '/keys']) {
      expect(diagnostics(at(bad))).toEqual([
        `authProviders.main.jwksUri: expected an absolute http(s) URL without credentials or fragment, or { "$env": "NAME" }, found "${bad}"`,
      ])
    }
    const [leaky] = diagnostics(at('https://u:hunter2@id.test/keys'))
    expect(leaky).toMatch(/, found "https:\/\/…@id\.test\/keys"$/)
  })

  it('is held to the same in a variable, where a target may have no query', () => {
    const loaded = load({ ...at({ $env: 'KEYS' }), upstreams: { users: { targets: [{ url: { $env: 'USERS' } }] } } })
    if ('diagnostics' in loaded) throw new Error('refused')
    const found = (url: string) => environmentDiagnostics(loaded.config, () => url).map(({ path }) => path.join('.'))
    expect(found('https://id.test/keys?p=1')).toEqual(['upstreams.users.targets.0.url'])
    expect(found('https://id.test/keys#a')).toEqual(['authProviders.main.jwksUri', 'upstreams.users.targets.0.url'])
    expect(found('https://id.test/keys')).toEqual([])
    expect(environmentDiagnostics(loaded.config, () => undefined)).toEqual([])
  })
})
