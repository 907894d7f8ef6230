import { describe, expect, it } from 'vitest'
import { makeClientReader, type ClientAddressConfig } from '../../src/door/client.ts'

function read(
  config: Partial<ClientAddressConfig>,
  clientIp: string | undefined,
  headers: Record<string, string> = {},
) {
  const request = new Request('http://gw.test/', {
    headers: { host: 'gw.test', ...headers },
    ...(clientIp && { cf: { clientIp } as RequestInitCfProperties }),
  })
  return makeClientReader({ source: 'runtime', trustedProxies: [], ...config })(request)
}

const proxied = { source: 'x-forwarded-for', trustedProxies: ['10.0.0.0/8', '2001:db8::/32'] } as const

describe('makeClientReader', () => {
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

  it('stays at the proxy when it sends nothing that can be read', () => {
    expect(read(proxied, '10.0.0.3:1')).toMatchObject({ ip: '10.0.0.3' })
    expect(read(proxied, '10.0.0.3:1', { 'x-forwarded-for': ', ' })).toMatchObject({ ip: '10.0.0.3' })
    for (const hop of ['unknown', '010.1.2.3', '0x0a.1.2.3', '192.0.2.7:80', 'fe80::1%eth0', '[2001:db8::1]'])
      expect(read(proxied, '10.0.0.3:1', { 'x-forwarded-for': hop })).toMatchObject({ ip: '10.0.0.3' })
  })
})
