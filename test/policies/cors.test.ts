import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { problemCode } from '../../src/core/problem.ts'
import { applyHeaderEdits } from '../../src/ingress/finish.ts'
import { cors } from '../../src/policies/cors.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'

const facts = makeTestFacts()
const APP = 'https://app.example.com'

/** The response to a request with these headers, and whether the request was forwarded. */
async function ask(
  config: object,
  headers: Record<string, string>,
  method = 'GET',
  upstream: Record<string, string> = {},
) {
  const x = makeTestExchange(new Request('https://gw.test/users/7', { method, headers }))
  const passed = { on: false }
  const handler = cors.compile(
    z.parse(cors.config, config),
    makeTestPlatform(),
    facts,
  )(() => {
    passed.on = true
    return Promise.resolve(new Response('data', { headers: upstream }))
  })
  const response = await handler(x)
  return { response: applyHeaderEdits(response, x.edits), code: problemCode(response), wentOn: passed.on }
}

const preflight = (config: object, headers: Record<string, string>) => ask(config, headers, 'OPTIONS')

/** The headers by which a browser grants access. */
const grants = (response: Response) => [...response.headers.keys()].filter((name) => name.startsWith('access-control-'))

describe('cors, requests', () => {
  it('lets an allowed origin read the answer', async () => {
    const { response, wentOn } = await ask({ origins: [APP], exposeHeaders: ['ETag', 'X-Total'] }, { origin: APP })
    expect(wentOn).toBe(true)
    expect(await response.text()).toBe('data')
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'access-control-allow-origin': APP,
      'access-control-expose-headers': 'etag, x-total',
      vary: 'Origin',
    })
    expect(response.headers.has('access-control-allow-credentials')).toBe(false)
  })

  it('says credentials only where the route does', async () => {
    const { response } = await ask({ origins: [APP], credentials: true }, { origin: APP })
    expect(response.headers.get('access-control-allow-credentials')).toBe('true')
  })

  it.each([
    'https://app.example.com.evil.test',
    'https://evil-app.example.com',
    'https://app.example.comx',
    'https://sub.app.example.com',
    'https://appxexample.com',
    'http://app.example.com',
    'https://app.example.com:8443',
    'https://app.example.com:443',
    'https://app.example.com/',
    'HTTPS://APP.EXAMPLE.COM',
    'https://app.example.com, https://evil.test',
    'https://evil.test',
    // A host that is equal in DNS, or that looks similar, is another origin in browsers.
    'https://app.example.com.',
    'https://app.example.com.evil.test/.app.example.com',
    'https://evil.test#https://app.example.com',
    'https://evil.test?https://app.example.com',
    'https://app.example.com@evil.test',
    'https://user@app.example.com',
    'https://app.example.com%2eevil.test',
    'https://app%2eexample.com',
    'https://app.example.com\u00a0',
    'https://app.ex\u00e4mple.com',
    'https://xn--pp-zja.example.com',
    'https://app-example.com',
    'https://appaexample.com',
    'https://app.example.com:0443',
    'https://app.example.com:8443@',
    'https://app.example.co',
    'https://example.com',
    'https://.app.example.com',
    '//app.example.com',
    'app.example.com',
    'wss://app.example.com',
    'file://app.example.com',
    'chrome-extension://app.example.com',
    'https:/app.example.com',
    'https:\\\\app.example.com',
    'https://app.example.com https://evil.test',
    'https://app.example.com,https://evil.test',
    'https://app.example.com;',
    'Null',
    'undefined',
    '__proto__',
    'toString',
    'https://*.example.com',
    'null',
    '*',
    '',
    'constructor',
  ])('goes on without allowing the origin %j', async (origin) => {
    const { response, wentOn } = await ask({ origins: [APP], credentials: true }, { origin })
    expect(wentOn).toBe(true)
    expect(grants(response)).toEqual([])
    expect(response.headers.get('vary')).toBe('Origin')
  })

  it('varies on Origin also without one, beside what the upstream varies on', async () => {
    const { response } = await ask({ origins: [APP] }, {}, 'GET', { vary: 'accept' })
    expect(response.headers.get('vary')).toBe('accept, Origin')
    expect(grants(response)).toEqual([])
  })

  it('drops what the upstream says of it', async () => {
    const upstream = {
      'access-control-allow-origin': '*',
      'access-control-allow-credentials': 'true',
      'access-control-expose-headers': 'x-secret',
      'access-control-allow-private-network': 'true',
    }
    expect(grants((await ask({ origins: [APP] }, { origin: 'https://evil.test' }, 'GET', upstream)).response)).toEqual(
      [],
    )
    const { response } = await ask({ origins: [APP] }, { origin: APP }, 'GET', upstream)
    expect(grants(response)).toEqual(['access-control-allow-origin', 'access-control-expose-headers'])
    expect(response.headers.get('access-control-allow-origin')).toBe(APP)
    expect(response.headers.get('access-control-expose-headers')).not.toContain('x-secret')
  })

  it('exposes the fields of limits and the request id by default, and a list in their place', async () => {
    const exposed = async (config: object) =>
      (await ask({ origins: [APP], ...config }, { origin: APP })).response.headers.get('access-control-expose-headers')
    expect(await exposed({})).toBe('ratelimit, ratelimit-policy, retry-after, x-request-id')
    expect(await exposed({ exposeHeaders: ['etag'] })).toBe('etag')
    expect(await exposed({ exposeHeaders: [] })).toBeNull()
  })

  it.each(['Origin', 'origin', 'accept, ORIGIN', 'origin,accept'])(
    'adds no second Origin to "Vary: %s"',
    async (vary) => {
      const { response } = await ask({ origins: [APP] }, { origin: APP }, 'GET', { vary })
      expect(response.headers.get('vary')).toBe(vary)
    },
  )

  it('adds Origin beside a name that only contains it', async () => {
    const { response } = await ask({ origins: [APP] }, { origin: APP }, 'GET', { vary: 'x-origin' })
    expect(response.headers.get('vary')).toBe('x-origin, Origin')
  })

  it.each([[{ origin: 'https://any.test' }], [{}]])('"*" is one answer for everybody: %j', async (headers) => {
    const { response } = await ask({ origins: ['*'] }, headers)
    expect(response.headers.get('access-control-allow-origin')).toBe('*')
    expect(response.headers.has('vary')).toBe(false)
  })

  it('lets an OPTIONS that is no preflight pass', async () => {
    expect((await ask({ origins: [APP] }, { origin: APP }, 'OPTIONS')).wentOn).toBe(true)
  })
})

describe('cors, preflights', () => {
  const config = {
    origins: [APP],
    methods: ['GET', 'PUT'],
    headers: ['Authorization', 'x-one'],
    credentials: true,
    maxAge: '90s',
  }
  const preflightHeaders = {
    origin: APP,
    'access-control-request-method': 'PUT',
    'access-control-request-headers': 'authorization, X-One',
  }

  it('answers an allowed one itself', async () => {
    const { response, wentOn } = await preflight(config, preflightHeaders)
    expect(wentOn).toBe(false)
    expect(response.status).toBe(204)
    expect(Object.fromEntries(response.headers)).toEqual({
      'access-control-allow-origin': APP,
      'access-control-allow-methods': 'GET, PUT',
      'access-control-allow-headers': 'authorization, x-one',
      'access-control-allow-credentials': 'true',
      'access-control-max-age': '90',
      vary: 'Origin',
    })
  })

  it('needs no list of headers', async () => {
    const { response } = await preflight({ origins: [APP] }, { origin: APP, 'access-control-request-method': 'POST' })
    expect(response.status).toBe(204)
    expect(response.headers.get('access-control-allow-methods')).toBe('GET, HEAD, POST')
    expect(response.headers.get('access-control-max-age')).toBe('600')
    expect(response.headers.has('access-control-allow-headers')).toBe(false)
  })

  it.each([
    ['origin', { origin: 'https://evil.test' }],
    ['case of the origin', { origin: 'https://APP.example.com' }],
    ['method', { 'access-control-request-method': 'POST' }],
    ['case of the method', { 'access-control-request-method': 'put' }],
    ['header', { 'access-control-request-headers': 'authorization, x-two' }],
    ['wildcard as a header', { 'access-control-request-headers': '*' }],
  ])('refuses another %s with 403 and no word of permission', async (_what, change) => {
    const { response, code, wentOn } = await preflight(config, { ...preflightHeaders, ...change })
    expect({ code, wentOn, grants: grants(response) }).toEqual({ code: 'cors-refused', wentOn: false, grants: [] })
    expect(response.headers.get('vary')).toBe('Origin')
  })

  it('grants no page of the internet a host of a private network', async () => {
    const { response } = await preflight(config, {
      ...preflightHeaders,
      'access-control-request-private-network': 'true',
    })
    expect(response.status).toBe(204)
    expect(response.headers.has('access-control-allow-private-network')).toBe(false)
  })

  it('lets none go on to the upstream for want of an origin', async () => {
    const { code, wentOn } = await preflight(config, { 'access-control-request-method': 'PUT' })
    expect({ code, wentOn }).toEqual({ code: 'cors-refused', wentOn: false })
  })
})

describe('cors, configuration', () => {
  const diagnostics = (config: unknown) => {
    const { data, error } = z.safeParse(cors.config, config)
    return data
      ? cors.check!(data, facts).map(({ path, message }) => `${path.join('.')}: ${message}`)
      : error!.issues.map((i) => i.message)
  }

  it.each([
    [{ origins: ['https://app.example.com/'] }, 'did you mean "https://app.example.com"?'],
    [{ origins: ['https://App.Example.com'] }, 'did you mean "https://app.example.com"?'],
    [{ origins: ['https://app.example.com:443'] }, 'did you mean "https://app.example.com"?'],
    [{ origins: ['https://*.example.com'] }, 'exact origin'],
    [{ origins: ['app.example.com'] }, 'exact origin'],
    [{ origins: ['null'] }, 'exact origin'],
    [{ origins: ['https://app.example.com.*'] }, 'exact origin'],
    [{ origins: ['*.example.com'] }, 'exact origin'],
    [{ origins: ['https://user@app.example.com'] }, 'did you mean "https://app.example.com"?'],
    [{ origins: ['https://äpp.example.com'] }, 'did you mean "https://xn--pp-uia.example.com"?'],
    [{ origins: ['^https://app.example.com$'] }, 'exact origin'],
    [{ origins: [''] }, 'exact origin'],
    [{ origins: ['file:///x'] }, 'exact origin'],
    [{ origins: [] }, 'at least one origin'],
    [{ origins: ['*', APP] }, 'alone'],
    [{ origins: ['*'], credentials: true }, 'cannot go with credentials'],
    [{ origins: [APP], headers: ['*'] }, '"*" stands for none'],
    [{ origins: [APP], methods: ['GETT'] }, 'did you mean "GET"?'],
  ])('%j: %s', (config, expected) => {
    const [first] = diagnostics(config)
    expect(first).toContain(expected)
  })

  it.each([[{ origins: [APP], credentials: true }], [{ origins: ['*'] }], [{ origins: ['http://localhost:3000'] }]])(
    '%j is fine',
    (config) => {
      expect(diagnostics(config)).toEqual([])
    },
  )
})
