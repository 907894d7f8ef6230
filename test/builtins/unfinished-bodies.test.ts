import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Platform } from '../../src/core/platform.ts'
import { makeTestGateway, type TestGateway } from '../support/gateway-in-workerd.ts'
import { advanceUntilSettled, stalledBody } from '../support/stalled-body.ts'
import { gatewayProvider, routes as oauthRoutes } from './oauth/authority.ts'

const TOKEN = 'a bootstrap token of 32 characters'

const platform: Partial<Platform> = {
  hasAdmin: true,
  variable: (name) => ({ LOG_LEVEL: 'silent', UMBRAL_BOOTSTRAP_TOKEN: TOKEN })[name],
}
const authority = makeTestGateway(
  {
    clientAddress: { source: 'cf-connecting-ip' },
    authProviders: { gateway: gatewayProvider },
    routes: [
      ...oauthRoutes,
      { id: 'first', match: { methods: ['POST'], path: '/admin/bootstrap' }, builtin: 'bootstrap' },
      {
        id: 'admin',
        match: { path: '/admin/*' },
        builtin: 'admin',
        policies: { auth: { providers: ['gateway'], roles: ['admin'] } },
      },
    ],
  },
  platform,
)
const operated = makeTestGateway(
  {
    clientAddress: { source: 'cf-connecting-ip' },
    upstreams: { orders: { targets: [{ url: 'http://127.0.0.1:9' }], circuitBreaker: {} } },
    routes: [
      { id: 'orders', match: { path: '/orders' }, upstream: 'orders' },
      { id: 'admin', match: { path: '/admin/*' }, builtin: 'admin', policies: { ip: { allow: ['192.0.2.0/24'] } } },
    ],
  },
  platform,
)

beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

const send = ({ fetch }: TestGateway, method: string, path: string, type: string, text: string) =>
  fetch(path, {
    method,
    body: stalledBody(text),
    headers: {
      'content-type': type,
      'content-length': '100',
      'cf-connecting-ip': '192.0.2.7',
      authorization: `Bearer ${TOKEN}`,
    },
  })

describe('a body that stops half-way is given up after 10 s', () => {
  it.each(['/token', '/revoke', '/introspect'])('at %s', async (path) => {
    const pending = send(authority, 'POST', path, 'application/x-www-form-urlencoded', 'username=a')
    expect(await advanceUntilSettled(pending)).toBe(10_000)
    const response = await pending
    expect(response.status).toBe(408)
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(await response.json()).toMatchObject({ code: 'body-timeout', error: 'invalid_request' })
  })

  it.each([
    ['POST', 'users'],
    ['PATCH', 'users/ada'],
    ['POST', 'clients'],
    ['PATCH', 'clients/app'],
    ['POST', 'keys'],
    ['POST', 'revocations'],
    ['POST', 'cache/purge'],
    ['PUT', 'breakers/orders'],
    ['PUT', 'targets/orders'],
    ['POST', 'bootstrap'],
  ])('at %s /admin/%s', async (method, path) => {
    const gateway = path === 'bootstrap' ? authority : operated
    const pending = send(gateway, method, `/admin/${path}`, 'application/json', '{"username"')
    expect(await advanceUntilSettled(pending)).toBe(10_000)
    const response = await pending
    expect(response.status).toBe(408)
    expect(await response.json()).toMatchObject({ code: 'body-timeout' })
  })
})
