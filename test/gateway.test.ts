import { describe, expect, it } from 'vitest'
import { makeTestGateway } from './support/gateway-in-workerd.ts'
import { originUrl } from './support/platform.ts'

interface Echo {
  method: string
  target: string
  headers: string[]
  body: string
}

const upstreams = { origin: { targets: [{ url: originUrl }] }, based: { targets: [{ url: `${originUrl}/base/` }] } }
const silent = { variable: (name: string) => (name === 'LOG_LEVEL' ? 'silent' : undefined) }

function gatewayOf(...routes: Record<string, unknown>[]) {
  return makeTestGateway({ upstreams, routes }, silent)
}

describe('makeGateway', () => {
  it('forwards what it matched, with body, query and headers', async () => {
    const gateway = gatewayOf({ id: 'all', match: { path: '/*' }, upstream: 'origin' })
    const response = await gateway.fetch('/%75sers//7/../8?a=%2F&b', {
      method: 'PUT',
      body: 'hello',
      headers: { 'x-a': '1' },
    })
    const echo = await response.json<Echo>()
    expect(echo).toMatchObject({ method: 'PUT', target: '/users/8?a=%2F&b', body: 'hello' })
    expect(echo.headers.join('\n')).toMatch(/x-a\n1/i)
    expect(response.headers.get('server')).toBe('origin')
    await gateway.settled()
  })

  it('sends lines of one name on as one, also where they say what the gateway itself says', async () => {
    const headers = { request: { set: { 'x-team': 'a, b' } } }
    const gateway = gatewayOf({ id: 'all', match: { path: '/*' }, upstream: 'origin', policies: { headers } })
    const lines = ['x-team', 'x-own'].flatMap((name) => [
      [name, 'a'],
      [name, 'b'],
    ])
    const echo = await (await gateway.fetch('/', { headers: lines })).json<Echo>()
    const valuesOf = (name: string) => echo.headers.filter((_, i) => echo.headers[i - 1]?.toLowerCase() === name)
    expect([valuesOf('x-team'), valuesOf('x-own')]).toEqual([['a, b'], ['a, b']])
  })

  it('lets no name pass that every object has', async () => {
    const gateway = gatewayOf({ id: 'all', match: { path: '/*' }, upstream: 'origin' })
    const headers = { connection: 'constructor', constructor: 'evil', ['__proto__']: 'evil', 'x-own': '1' }
    const echo = await (await gateway.fetch('/', { headers: Object.entries(headers) })).json<Echo>()
    expect(echo.headers).toContain('1')
    expect(echo.headers).not.toContain('evil')
  })

  it('sends lines of Cookie on as one, also beside bytes that are no UTF-8', async () => {
    const gateway = gatewayOf({ id: 'all', match: { path: '/*' }, upstream: 'origin' })
    const lines = ['sid=abc', 'theme=dark'].map((value) => ['cookie', value])
    for (const more of [[], [['x-latin', 'caf\ufffd']]]) {
      const echo = await (await gateway.fetch('/', { headers: [...lines, ...more] })).json<Echo>()
      expect(echo.headers.filter((_, i) => echo.headers[i - 1]?.toLowerCase() === 'cookie')).toEqual([
        'sid=abc; theme=dark',
      ])
    }
  })

  it('sends what came on several lines of Set-Cookie as it was read', async () => {
    const gateway = gatewayOf({ id: 'all', match: { path: '/*' }, upstream: 'origin' })
    const lines = ['a=1', 'b=2'].map((value) => ['set-cookie', value])
    const echo = await (await gateway.fetch('/', { headers: lines })).json<Echo>()
    expect(echo.headers.filter((_, i) => echo.headers[i - 1]?.toLowerCase() === 'set-cookie')).toEqual(['a=1, b=2'])
  })

  it('sends on a parameter whose name every object has', async () => {
    const gateway = gatewayOf({
      id: 'a',
      match: { path: '/pp/:constructor' },
      upstream: 'origin',
      policies: { rewrite: { path: '/raw/{params.constructor}' } },
    })
    expect(await (await gateway.fetch('/pp/x%20y')).json()).toMatchObject({ target: '/raw/x%20y' })
  })

  it('puts the target’s own path in front', async () => {
    const gateway = gatewayOf({ id: 'all', match: { path: '/*' }, upstream: 'based' })
    expect(await (await gateway.fetch('/x?y')).json()).toMatchObject({ target: '/base/x?y' })
  })

  it.each<[what: string, url: string, init: RequestInit, status: number, code: string]>([
    ['an unknown path', '/nowhere', {}, 404, 'not-found'],
    ['a method that the path has not', '/only-get', { method: 'POST' }, 405, 'method-not-allowed'],
    ['a method that nobody has', '/only-get', { method: 'PROPFIND' }, 501, 'method-not-implemented'],
    ['an escaped control character', '/only-get/%00', {}, 400, 'path-invalid'],
    ['an escaped slash', '/only-get%2Fx', {}, 400, 'path-invalid'],
    ['a long URL', `/only-get?${'a'.repeat(9000)}`, {}, 414, 'uri-too-long'],
    ['a look-alike header', '/only-get', { headers: { transfer_encoding: 'chunked' } }, 400, 'header-invalid'],
    ['an absurd length', '/only-get', { headers: { 'content-length': '9'.repeat(16) } }, 400, 'header-invalid'],
    ['a large header', '/only-get', { headers: { 'x-large': 'a'.repeat(33_000) } }, 431, 'headers-too-large'],
  ])('answers %s with a problem', async (_, url, init, status, code) => {
    const gateway = gatewayOf({ id: 'a', match: { path: '/only-get', methods: ['GET'] }, respond: { body: 'ok' } })
    const response = await gateway.fetch(url, init)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f]{32}$/)
    expect(await response.json()).toMatchObject({ code, status, type: `urn:umbral:problem:${code}` })
  })

  it('names the methods in a 405', async () => {
    const gateway = gatewayOf({ id: 'a', match: { path: '/a', methods: ['GET', 'PUT'] }, respond: {} })
    expect((await gateway.fetch('/a', { method: 'POST' })).headers.get('allow')).toBe('GET, HEAD, PUT')
  })

  it('keeps %2F inside a segment where the route says so', async () => {
    const gateway = gatewayOf({ id: 'a', match: { path: '/files/:name', encodedSlash: 'keep' }, upstream: 'origin' })
    expect(await (await gateway.fetch('/files/a%2fb')).json()).toMatchObject({ target: '/files/a%2Fb' })
  })

  it.each([
    ['/api/queues/%2F/q', '/api/queues/%2F/q'],
    ['/api/%2f', '/api/%2F'],
    ['/api/dir%2F', '/api/dir%2F'],
    ['/api/a%2F%2fb', '/api/a%2F%2Fb'],
    ['/api/%2F%2F', '/api/%2F%2F'],
    ['/api/a%2F.%2Fb', 400],
    ['/api/a%2F..', 400],
    ['/api/..%2Fb', 400],
    ['/api/%2e%2F', 400],
    ['/api/%2F%2E./b', 400],
  ])('takes %%2F as data where the route says so, but beside a dot segment: %s gives %j', async (sent, expected) => {
    const gateway = gatewayOf({ id: 'a', match: { path: '/*', encodedSlash: 'keep' }, upstream: 'origin' })
    const response = await gateway.fetch(sent)
    const { target } = await response.json<Partial<Echo>>()
    expect(target ?? response.status).toBe(expected)
  })

  it('hands a parameter that is %2F on as data', async () => {
    const match = { path: '/queues/:vhost/:name', encodedSlash: 'keep' }
    const policies = { rewrite: { path: '/api/{params.name}/{params.vhost}' } }
    const gateway = gatewayOf({ id: 'a', match, upstream: 'origin', policies })
    expect(await (await gateway.fetch('/queues/%2F/q')).json()).toMatchObject({ target: '/api/q/%2F' })
    expect((await gateway.fetch('/queues/..%2F/q')).status).toBe(400)
  })

  it.each([
    ['/unsafe/300x200/https://img.example/a.png', '/unsafe/300x200/https://img.example/a.png'],
    ['//unsafe//x//', '/unsafe//x//'],
    ['/unsafe//', '/unsafe//'],
    ['/unsafe/', '/unsafe/'],
    ['/unsafe', '/unsafe'],
    ['/unsafe/a/../b', '/unsafe/b'],
    ['/unsafe/a//%5c', 400],
  ])('forwards empty segments where the route keeps them: %s gives %j', async (sent, expected) => {
    const gateway = gatewayOf({ id: 'a', match: { path: '/unsafe/*', slashes: 'keep' }, upstream: 'origin' })
    const response = await gateway.fetch(`https://gw.test${sent}`)
    const { target } = await response.json<Partial<Echo>>()
    expect(target ?? response.status).toBe(expected)
  })

  it('matches routes with slashes merged, so that a guarded path is not reached by another spelling', async () => {
    const gateway = gatewayOf(
      {
        id: 'all',
        match: { path: '/*', slashes: 'keep' },
        upstream: 'origin',
        policies: { rules: { forbidPaths: ['/x/admin*'] } },
      },
      { id: 'admin', match: { path: '/admin/*' }, respond: { status: 403 } },
      { id: 'old', match: { path: '/old/*', slashes: 'keep' }, redirect: { path: '/*' } },
    )
    for (const path of ['/admin/a', '//admin//a', '///admin', '/x//admin', '/x/admin/b', '//x///admin//'])
      expect([path, (await gateway.fetch(`https://gw.test${path}`)).status]).toEqual([path, 403])
    const { headers } = await gateway.fetch('/old//evil.example', { redirect: 'manual' })
    expect(headers.get('location')).toBe('/evil.example')
  })

  it('answers HEAD as GET without its body', async () => {
    const gateway = gatewayOf({ id: 'a', match: { path: '/a', methods: ['GET'] }, upstream: 'origin' })
    const response = await gateway.fetch('/a', { method: 'HEAD' })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json')
    expect(await response.text()).toBe('')
  })

  it.each([
    [{ scheme: 'https' }, 'http://gw.test:8080', 'https://gw.test/b'],
    [{ scheme: 'https', port: 8443 }, 'http://gw.test:8080', 'https://gw.test:8443/b'],
    [{ scheme: 'https' }, 'http://[2001:db8::1]:8080', 'https://[2001:db8::1]/b'],
    [{ scheme: 'https' }, 'http://[2001:db8::1]', 'https://[2001:db8::1]/b'],
    [{ scheme: 'http' }, 'http://gw.test:8080', 'http://gw.test:8080/b'],
    [{ port: 81 }, 'http://gw.test:8080', 'http://gw.test:81/b'],
    [{ host: 'api.test', port: 81 }, 'http://gw.test:8080', 'http://api.test:81/b'],
    [{ host: 'api.test:82' }, 'http://gw.test:8080', 'http://api.test:82/b'],
  ])('redirects %j from %s to %s', async (parts, origin, expected) => {
    const gateway = gatewayOf({ id: 'a', match: { path: '/a' }, redirect: { path: '/b', ...parts } })
    const { headers } = await gateway.fetch(`${origin}/a`, {
      redirect: 'manual',
      headers: { host: origin.slice('http://'.length) },
    })
    expect(headers.get('location')).toBe(expected)
  })

  it('redirects with the wildcard’s rest and the query, and responds from the file', async () => {
    const gateway = gatewayOf(
      { id: 'old', match: { path: '/old/*' }, redirect: { status: 301, path: '/new/*' } },
      { id: 'host', match: { path: '/host' }, redirect: { path: '/x', scheme: 'https', host: 'api.example.com' } },
      {
        id: 'robots',
        match: { path: '/robots.txt' },
        respond: { headers: { 'content-type': 'text/plain' }, body: 'Disallow: /' },
      },
    )
    const old = await gateway.fetch('/old/a/b?c=d', { redirect: 'manual' })
    expect([old.status, old.headers.get('location')]).toEqual([301, '/new/a/b?c=d'])
    const slash = await gateway.fetch('/old/', { redirect: 'manual' })
    expect(slash.headers.get('location')).toBe('/new/')
    const host = await gateway.fetch('/host', { redirect: 'manual' })
    expect([host.status, host.headers.get('location')]).toEqual([308, 'https://api.example.com/x'])
    const robots = await gateway.fetch('/robots.txt')
    expect([robots.headers.get('content-type'), await robots.text()]).toEqual(['text/plain', 'Disallow: /'])
  })

  it('is healthy', async () => {
    const gateway = gatewayOf({ id: 'health', match: { path: '/health' }, builtin: 'health' })
    const body = await (await gateway.fetch('/health')).json<{ timestamp: string }>()
    expect(body).toEqual({ status: 'healthy', timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) })
  })

  it('says what is degraded: an open circuit, an unreachable limit store', async () => {
    const breaker = { minimumRequests: 2, openDuration: '60s' }
    const limiter = {
      name: 'l',
      algorithm: 'fixed-window',
      limit: 9,
      window: '60s',
      key: ['client.ip'],
      onStoreError: 'allow',
    }
    const gateway = makeTestGateway(
      {
        upstreams: { failing: { targets: [{ url: originUrl }], circuitBreaker: breaker } },
        routes: [
          { id: 'fail', match: { path: '/status/*' }, upstream: 'failing' },
          { id: 'limited', match: { path: '/limited' }, respond: {}, policies: { rateLimit: [limiter] } },
          { id: 'health', match: { path: '/health' }, builtin: 'health' },
        ],
      },
      {
        ...silent,
        variable: (name) => ({ LOG_LEVEL: 'silent', UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:1' })[name],
        secret: () => 'token',
      },
    )
    for (let nth = 0; nth < 3; nth++) {
      await gateway.fetch('/status/503')
      expect((await gateway.fetch('/limited')).status).toBe(200)
    }
    await gateway.settled()
    const body = await (await gateway.fetch('/health')).json()
    expect(body).toMatchObject({
      status: 'degraded',
      degraded: [{ upstream: 'failing', circuit: 'open' }, { limitStore: 'upstash' }],
    })
  })

  it.each(['gw.test/secret?', 'gw.test?a=1&x=', 'user@gw.test', 'a b', '[::1', 'a:99999999', '<>', 'a%zz'])(
    'refuses the Host %j, and stays whole',
    async (host) => {
      const gateway = gatewayOf({ id: 'a', match: { path: '/*', query: { a: '1' } }, respond: {} })
      expect((await gateway.fetch('/x', { headers: { host } })).status).toBe(400)
      expect((await gateway.fetch('/x?a=1', { headers: { host: 'gw.test:8787' } })).status).toBe(200)
    },
  )

  it('finds the route of a preflight by the method that it asks for', async () => {
    const cors = { origins: ['https://app.test'], methods: ['PUT'] }
    const gateway = gatewayOf(
      { id: 'put', match: { path: '/a', methods: ['PUT'] }, respond: {}, policies: { cors } },
      { id: 'get', match: { path: '/a', methods: ['GET'] }, respond: {} },
    )
    const send = (method: string) =>
      gateway.fetch('/a', {
        method: 'OPTIONS',
        headers: { origin: 'https://app.test', 'access-control-request-method': method },
      })
    const allowed = await send('PUT')
    expect([allowed.status, allowed.headers.get('access-control-allow-origin')]).toEqual([204, 'https://app.test'])
    expect((await send('GET')).status).toBe(405)
  })

  it('lets a route of the path with `cors` refuse a preflight for what no route of it answers', async () => {
    const policies = { cors: { origins: ['https://app.test'] } }
    const gateway = gatewayOf(
      { id: 'put', match: { path: '/a', methods: ['PUT'] }, respond: {} },
      // Its `cors` would allow POST, for which there is no route.
      { id: 'get', match: { path: '/a', methods: ['GET'] }, respond: {}, policies },
      { id: 'bare', match: { path: '/b', methods: ['GET'] }, respond: {} },
    )
    const send = async (path: string, announced?: string, method = 'OPTIONS') => {
      const headers = { origin: 'https://app.test', ...(announced && { 'access-control-request-method': announced }) }
      const response = await gateway.fetch(path, { method, headers })
      const { code } = response.status === 204 ? {} : await response.json<{ code: string }>()
      return [response.status, code, response.headers.get('vary')]
    }
    const refused = [403, 'cors-refused', 'Origin']
    const noMethod = [405, 'method-not-allowed', null]
    for (const method of ['POST', 'DELETE', 'NONSENSE']) expect(await send('/a', method)).toEqual(refused)
    for (const method of ['GET', 'HEAD']) expect(await send('/a', method)).toEqual([204, undefined, 'Origin'])
    // The route of PUT has no `cors`.
    expect(await send('/a', 'PUT')).toEqual(noMethod)
    expect(await send('/b', 'POST')).toEqual(noMethod)
    // This is not a preflight.
    expect(await send('/a')).toEqual(noMethod)
    expect(await send('/a', 'POST', 'DELETE')).toEqual(noMethod)
  })

  it('finds the route of a preflight among those that match on headers', async () => {
    const policies = { cors: { origins: ['https://app.test'], headers: ['x-version'] } }
    const respond = { status: 200 }
    const versioned = { path: '/d', methods: ['GET'], headers: { 'X-Version': '2', accept: 'a/b' } }
    const alone = gatewayOf({ id: 'versioned', match: versioned, respond, policies })
    const beside = gatewayOf(
      { id: 'versioned', match: versioned, respond, policies },
      { id: 'other', match: { path: '/d', headers: { 'x-version': '1', 'x-other': '1' } }, respond },
      { id: 'bare', match: { path: '/d' }, respond },
    )
    const ask = async (gateway: typeof alone, announced: string) => {
      const headers = {
        origin: 'https://app.test',
        'access-control-request-method': 'GET',
        'access-control-request-headers': announced,
      }
      const response = await gateway.fetch('/d', { method: 'OPTIONS', headers })
      return [response.status, response.headers.get('access-control-allow-headers')]
    }
    for (const announced of ['x-version', 'X-Version', 'x-version , x-version'])
      for (const gateway of [alone, beside]) expect(await ask(gateway, announced)).toEqual([204, 'x-version'])
    expect(await ask(beside, 'x-other,x-version')).toEqual([403, null])
    // What it announces cannot have that header: the bare route gets the request, and its preflight.
    expect(await ask(beside, 'x-own')).toEqual([200, null])
    expect(await ask(alone, 'x-own')).toEqual([404, null])
  })

  it('gives a refusal its CORS headers', async () => {
    const gateway = gatewayOf({
      id: 'a',
      match: { path: '/a' },
      respond: {},
      policies: { cors: { origins: ['https://app.test'] }, ip: { allow: ['10.0.0.0/8'], deny: [] } },
    })
    const response = await gateway.fetch('/a', { headers: { origin: 'https://app.test' } })
    expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([403, 'https://app.test'])
  })

  it('answers what throws inside with a bare 500 problem', async () => {
    const gateway = makeTestGateway(
      { upstreams, routes: [{ id: 'a', match: { path: '/a' }, upstream: 'origin' }] },
      {
        ...silent,
        fetch: () => {
          throw new TypeError('secret detail')
        },
      },
    )
    const response = await gateway.fetch('/a')
    expect(response.status).toBeGreaterThanOrEqual(500)
    expect(await response.text()).not.toContain('secret')
  })

  it('leaves the runtime’s own headers and a second Set-Cookie alone when it edits', async () => {
    const headers = { response: { set: { 'x-route': '{route}' }, remove: ['server'] } }
    const gateway = gatewayOf({ id: 'a', match: { path: '/a' }, upstream: 'origin', policies: { headers } })
    const response = await gateway.fetch('/a')
    expect([response.headers.get('x-route'), response.headers.has('server')]).toEqual(['a', false])
  })
})
