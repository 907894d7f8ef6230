import { describe, expect, it } from 'vitest'
import { compileClientReader, type ClientAddressConfig } from '../../src/ingress/client.ts'
import { compileHeaderReader, readRequest } from '../../src/ingress/headers.ts'

const readHeaders = compileHeaderReader([])

function read(
  config: Partial<ClientAddressConfig>,
  clientIp: string | undefined,
  headers: Record<string, string> = {},
) {
  const request = new Request('http://gw.test/', {
    headers: { host: 'gw.test', ...headers },
    ...(clientIp && { cf: { clientIp } as RequestInitCfProperties }),
  })
  return compileClientReader({ source: 'runtime', trustedProxies: [], ...config })(readRequest(request, readHeaders))
}

const proxied = { source: 'x-forwarded-for', trustedProxies: ['10.0.0.0/8', '2001:db8::/32'] } as const

describe('compileClientReader', () => {
  it.each([
    ['127.0.0.1:57166', '127.0.0.1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['2001:db8::1', '2001:db8::1'],
    ['[fe80::1%eth0]:443', 'fe80::1'],
    ['fe80::1%25eth0', 'fe80::1'],
    ['192.0.2.1', '192.0.2.1'],
  ])('reads %s', (clientIp, ip) => {
    expect(read({}, clientIp).ip).toBe(ip)
  })

  it('believes no header when the runtime tells', () => {
    const client = read({}, '192.0.2.9:1', {
      'cf-connecting-ip': '6.6.6.6',
      'x-forwarded-for': '6.6.6.6',
      'x-forwarded-proto': 'https',
    })
    expect(client).toMatchObject({ ip: '192.0.2.9', forwardedFor: '192.0.2.9', scheme: 'http', host: 'gw.test' })
  })

  it('believes X-Forwarded-For only from a trusted proxy, from the right, as far as the proxies are trusted', () => {
    const headers = { 'x-forwarded-for': '1.1.1.1, 192.0.2.7, 10.0.0.2', 'x-forwarded-proto': 'https' }
    expect(read(proxied, '10.0.0.3:1', headers)).toMatchObject({
      ip: '192.0.2.7',
      forwardedFor: '192.0.2.7, 10.0.0.2, 10.0.0.3',
      scheme: 'https',
    })
    expect(read(proxied, '192.0.2.3:1', headers)).toMatchObject({
      ip: '192.0.2.3',
      forwardedFor: '192.0.2.3',
      scheme: 'http',
    })
  })

  it('believes CF-Connecting-IP from Cloudflare alone, and not where workerd listens without addresses', () => {
    const readWith = (cf: RequestInitCfProperties) =>
      compileClientReader({ source: 'runtime', trustedProxies: [] })(
        readRequest(new Request('http://gw.test/', { headers: { 'cf-connecting-ip': '192.0.2.9' }, cf }), readHeaders),
      ).ip
    expect(readWith({ colo: 'AMS' })).toBe('192.0.2.9')
    expect(readWith({ clientPid: 7, clientUid: 0 })).toBe('')
  })

  it('stays at the proxy when it says of nobody that they sent it', () => {
    expect(read(proxied, '10.0.0.3:1')).toMatchObject({ ip: '10.0.0.3', forwardedFor: '10.0.0.3' })
    expect(read(proxied, '10.0.0.3:1', { 'x-forwarded-for': ', ' })).toMatchObject({ ip: '10.0.0.3' })
  })

  it('knows nobody in what nobody can read, least of all the proxy', () => {
    for (const hop of [
      'unknown',
      '010.1.2.3',
      '0x0a.1.2.3',
      '10.1',
      '167772161',
      'fe80::1%eth0',
      '[10.0.0.9',
      '_hidden',
    ])
      expect(read(proxied, '10.0.0.3:1', { 'x-forwarded-for': `10.0.0.4, ${hop}` })).toMatchObject({
        ip: '',
        forwardedFor: 'unknown, 10.0.0.3',
      })
    expect(read({ source: 'cf-connecting-ip' }, undefined, { 'cf-connecting-ip': 'me' })).toMatchObject({ ip: '' })
  })

  it.each([
    ['192.0.2.7:80', '192.0.2.7'],
    ['[2001:db8:1::1]:443, 10.0.0.2', '2001:db8:1::1'],
    ['[2001:db9::1]', '2001:db9::1'],
    ['192.0.2.7,', '192.0.2.7'],
    ['2001:DB9:0:0::1', '2001:db9::1'],
    ['::FFFF:192.0.2.7', '192.0.2.7'],
    ['::ffff:c000:207', '192.0.2.7'],
  ])('reads X-Forwarded-For: %s as %s', (header, ip) => {
    const trustedProxies = ['10.0.0.0/8']
    expect(read({ ...proxied, trustedProxies }, '[::ffff:10.0.0.3]:1', { 'x-forwarded-for': header }).ip).toBe(ip)
  })

  it('has one spelling for an address', () => {
    expect(read({}, '[::ffff:127.0.0.1]:80').ip).toBe('127.0.0.1')
    expect(read({ source: 'cf-connecting-ip' }, undefined, { 'cf-connecting-ip': '2001:DB8::0' }).ip).toBe('2001:db8::')
  })

  it('takes the scheme of a trusted proxy in any case, and no list of schemes', () => {
    const scheme = (proto: string) => read(proxied, '10.0.0.3:1', { 'x-forwarded-proto': proto }).scheme
    expect([scheme('HTTPS'), scheme('https, http'), scheme('http, https'), scheme('https ;')]).toEqual([
      'https',
      'http',
      'http',
      'http',
    ])
  })

  it('takes host, port and prefix of a trusted proxy', () => {
    const headers = {
      'x-forwarded-proto': 'https',
      'x-forwarded-host': 'api.example.com',
      'x-forwarded-port': '8443',
      'x-forwarded-prefix': '/shop/',
    }
    expect(read(proxied, '10.0.0.3:1', headers)).toMatchObject({
      scheme: 'https',
      host: 'api.example.com:8443',
      port: '8443',
      prefix: '/shop',
    })
    const direct = read(proxied, '192.0.2.3:1', headers)
    expect(direct).toMatchObject({ scheme: 'http', host: 'gw.test', port: undefined, prefix: undefined })
    expect(read({}, '10.0.0.3:1', headers)).toMatchObject({ host: 'gw.test', port: undefined, prefix: undefined })
  })

  it.each([
    ['x-forwarded-host', 'a.test:8080', 'a.test:8080'],
    ['x-forwarded-host', '[2001:db8::1]:8080', '[2001:db8::1]:8080'],
    ['x-forwarded-host', 'a.test, b.test', 'gw.test'],
    ['x-forwarded-host', 'a.test/secret?', 'gw.test'],
    ['x-forwarded-host', '', 'gw.test'],
    ['x-forwarded-port', '8080', 'gw.test:8080'],
    ['x-forwarded-port', '80', 'gw.test'],
    ['x-forwarded-port', '443', 'gw.test:443'],
    ['x-forwarded-port', '80, 81', 'gw.test'],
    ['x-forwarded-port', '080', 'gw.test'],
  ])('with %s: %s of a trusted proxy the host is that of %s', (name, value, host) => {
    expect(read(proxied, '10.0.0.3:1', { [name]: value }).host).toBe(host)
  })

  it.each(['/', '', 'shop', '/a/../b', '/a//b', '/a, /b', 'https://evil.test/', '//evil.test', '/%zz'])(
    'takes no prefix from X-Forwarded-Prefix: %s',
    (prefix) => {
      expect(read(proxied, '10.0.0.3:1', { 'x-forwarded-prefix': prefix }).prefix).toBeUndefined()
    },
  )

  it('does not take the country of a proxy for that of the client', () => {
    const countryOf = (headers: Record<string, string>) => {
      const cf = { clientIp: '10.0.0.3:1', country: 'DE' } as RequestInitCfProperties
      return compileClientReader(proxied)(readRequest(new Request('http://gw.test/', { headers, cf }), readHeaders))
        .country
    }
    expect(countryOf({})).toBe('DE')
    expect(countryOf({ 'x-forwarded-for': '192.0.2.7' })).toBeUndefined()
  })
})
