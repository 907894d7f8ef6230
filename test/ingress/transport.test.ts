import { describe, expect, it } from 'vitest'
import { makeTestGateway } from '../support/gateway-in-workerd.ts'

const hello = { respond: { body: 'Hello' } }
const policies = { security: {}, cors: { origins: ['https://app.example.com'] } }
const gatewayOf = (clients: string) =>
  makeTestGateway({
    transport: { clients },
    routes: [
      { id: 'hello', match: { path: '/hello/*' }, ...hello, policies },
      { id: 'health', match: { path: '/health' }, ...hello, insecure: true },
    ],
  })

/** The status and the problem code, location or body of a request to `url`. */
async function outcomeOf(clients: string, url: string, init: RequestInit = {}) {
  const response = await gatewayOf(clients).fetch(url, { redirect: 'manual', ...init })
  const { host } = new URL(url)
  expect(host).not.toBe('')
  const body = await response.text()
  const code = body.startsWith('{') ? (JSON.parse(body) as { code: string }).code : undefined
  return [response.status, code ?? response.headers.get('location') ?? body]
}

describe('transport.clients', () => {
  it.each<[clients: string, url: string, expected: unknown[]]>([
    ['any', 'http://gw.test/hello/a', [200, 'Hello']],
    ['any', 'https://gw.test/hello/a', [200, 'Hello']],
    ['https', 'https://gw.test/hello/a', [200, 'Hello']],
    ['https', 'http://gw.test/hello/a', [403, 'https-required']],
    ['https', 'http://gw.test/health', [200, 'Hello']],
    ['https', 'http://gw.test/nowhere', [404, 'not-found']],
    ['redirect', 'https://gw.test/hello/a', [200, 'Hello']],
    ['redirect', 'http://gw.test/hello/a?b=%2F&c', [308, 'https://gw.test/hello/a?b=%2F&c']],
    ['redirect', 'http://gw.test:8080/hello//x/../a', [308, 'https://gw.test/hello/a']],
    ['redirect', 'http://[2001:db8::1]:8080/hello/a', [308, 'https://[2001:db8::1]/hello/a']],
    ['redirect', 'http://gw.test/health', [200, 'Hello']],
  ])('%s: %s gets %j', async (clients, url, expected) => {
    const headers = { host: new URL(url).host }
    expect(await outcomeOf(clients, url, { headers })).toEqual(expected)
    expect(await outcomeOf(clients, url, { headers, method: 'POST', body: 'secret' })).toEqual(expected)
  })

  it('leads nowhere without a Host', async () => {
    expect(await outcomeOf('redirect', 'http://gw.test/hello/a', { headers: { host: '' } })).toEqual([
      403,
      'https-required',
    ])
  })

  it('answers no preflight by plain HTTP either', async () => {
    const headers = { origin: 'https://app.example.com', 'access-control-request-method': 'GET' }
    expect(await outcomeOf('https', 'http://gw.test/hello/a', { method: 'OPTIONS', headers })).toEqual([
      403,
      'https-required',
    ])
  })

  it('judges by what a trusted proxy says of the client', async () => {
    const gateway = makeTestGateway({
      clientAddress: { source: 'x-forwarded-for', trustedProxies: ['10.0.0.0/8'] },
      transport: { clients: 'https' },
      routes: [{ id: 'hello', match: { path: '/hello' }, ...hello }],
    })
    const ask = async (peer: string, proto: string) => {
      const headers = { host: 'gw.test', 'x-forwarded-for': '192.0.2.1', 'x-forwarded-proto': proto }
      const cf = { clientIp: `${peer}:5000` } as unknown as RequestInitCfProperties
      return (await gateway.fetch('http://gw.test/hello', { headers, cf } as RequestInit)).status
    }
    expect(await ask('10.0.0.1', 'https')).toBe(200)
    expect(await ask('10.0.0.1', 'http')).toBe(403)
    expect(await ask('10.0.0.1', 'https, http')).toBe(403)
    expect(await ask('192.0.2.9', 'https')).toBe(403)
  })

  it('redirects to the host, the port and the prefix that a trusted proxy states', async () => {
    const gateway = makeTestGateway({
      transport: { clients: 'redirect' },
      clientAddress: { source: 'x-forwarded-for', trustedProxies: ['10.0.0.0/8'] },
      routes: [
        { id: 'moved', match: { path: '/moved' }, insecure: true, redirect: { path: '/new' } },
        { id: 'secure', match: { path: '/secure' }, insecure: true, redirect: { path: '/new', scheme: 'https' } },
        { id: 'away', match: { path: '/away' }, insecure: true, redirect: { path: '/new', host: 'other.test' } },
        { id: 'hello', match: { path: '/hello', hosts: ['api.test'] }, ...hello },
      ],
    })
    const forwarded = { 'x-forwarded-host': 'api.test', 'x-forwarded-port': '8080', 'x-forwarded-prefix': '/shop' }
    const locationOf = async (path: string, clientIp: string) => {
      const init = { redirect: 'manual', headers: { host: 'gw.test', ...forwarded }, cf: { clientIp } } as RequestInit
      const response = await gateway.fetch(path, init)
      return response.headers.get('location') ?? response.status
    }
    expect(await locationOf('/moved', '10.0.0.1')).toBe('/shop/new')
    expect(await locationOf('/secure', '10.0.0.1')).toMatch(/^https:\/\/api\.test(:8080)?\/shop\/new$/)
    expect(await locationOf('/away', '10.0.0.1')).toBe('http://other.test/new')
    expect(await locationOf('/hello', '10.0.0.1')).toBe('https://api.test/shop/hello')
    expect(await locationOf('/moved', '192.0.2.1')).toBe('/new')
    expect(await locationOf('/hello', '192.0.2.1')).toBe(404)
  })
})
