import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startGateway, type RunningGateway } from '../support/gateway.ts'
import { startLedgerOrigin, type LedgerOrigin } from '../support/ledger-origin.ts'
import { sendRaw } from '../support/raw-http.ts'

/** The file in docs/security.md, in front of this test's own origin. */
function documented(origin: string): Record<string, unknown> {
  const [, excerpt] = /```json\n(\{[^]*?)```/.exec(readFileSync('docs/security.md', 'utf8'))!
  return JSON.parse(excerpt!.replace('http://127.0.0.1:9101', origin)) as Record<string, unknown>
}

const HTTPS = { 'x-forwarded-proto': 'https' }
let origin: LedgerOrigin
let gateway: RunningGateway

beforeAll(async () => {
  origin = await startLedgerOrigin()
  gateway = await startGateway({ routes: documented(origin.url) })
})
afterAll(async () => {
  await gateway?.stop()
  await origin?.stop()
})

const ask = (path: string, headers: Record<string, string> = {}) => fetch(gateway.url + path, { headers })

describe('the door of docs/security.md', () => {
  it('does what the page says', async () => {
    expect((await ask('/users/7')).status).toBe(403)
    const first = await ask('/users/7', { ...HTTPS, origin: 'https://app.example.com' })
    expect(first.status).toBe(200)
    expect(Object.fromEntries(first.headers)).toMatchObject({
      'strict-transport-security': 'max-age=31536000; includeSubDomains',
      'x-frame-options': 'DENY',
      'ratelimit-policy': '"door";q=5;w=60;burst=3',
      ratelimit: '"door";r=2;t=12',
      'access-control-allow-origin': 'https://app.example.com',
      vary: 'Origin',
    })
    expect((await ask('/users/.git/config', HTTPS)).status).toBe(403)
    const statuses = []
    for (let i = 0; i < 4; i++) statuses.push((await ask('/users/1', HTTPS)).status)
    expect(statuses).toEqual([200, 200, 429, 429])
    const refused = await ask('/users/1', HTTPS)
    expect(refused.headers.get('x-content-type-options')).toBe('nosniff')
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(12)
    expect((await ask('/health')).status).toBe(200)
    expect(origin.ledger()).toHaveLength(3)
  })

  it('allows no origin that comes in bytes of its own', async () => {
    const odd = [
      'https://app.example.com\xa0',
      'https://app.example.com\xc2\xa0',
      '\xef\xbb\xbfhttps://app.example.com',
    ]
    for (const written of odd) {
      const head = `OPTIONS /users/1 HTTP/1.1\r\nHost: gw.test\r\nX-Forwarded-Proto: https\r\nAccess-Control-Request-Method: GET\r\n`
      const answer = await sendRaw(gateway.port, `${head}Origin: ${written}\r\nConnection: close\r\n\r\n`)
      expect(answer).toMatch(/^HTTP\/1\.1 403 /)
      expect(answer).not.toMatch(/^access-control-allow/im)
    }
  })
})

it('measures a URL in bytes: one that would be too long to send on is no failure of the upstream’s', async () => {
  const guarded = await startGateway({
    routes: {
      version: 1,
      upstreams: { origin: { targets: [{ url: origin.url }], circuitBreaker: { minimumRequests: 1 } } },
      routes: [{ id: 'all', match: { path: '/*' }, upstream: 'origin' }],
    },
  })
  try {
    for (const target of [`/?${'\xe2\x82\xac'.repeat(8_000)}`, `/${'\xe2\x82\xac'.repeat(3_000)}`]) {
      const answer = await sendRaw(guarded.port, `GET ${target} HTTP/1.1\r\nHost: gw.test\r\nConnection: close\r\n\r\n`)
      expect(answer).toMatch(/^HTTP\/1\.1 414 /)
    }
    expect((await fetch(`${guarded.url}/?${'€'.repeat(900)}`)).status).toBe(200)
    expect((await fetch(`${guarded.url}/`)).status).toBe(200)
  } finally {
    await guarded.stop()
  }
})

describe('bodyLimit, as bytes come in', () => {
  it('ends a chunked body at the byte that is too much', async () => {
    const limited = await startGateway({
      routes: {
        upstreams: { shop: { targets: [{ url: origin.url }] } },
        routes: [{ id: 'all', match: { path: '/*' }, upstream: 'shop', policies: { bodyLimit: { max: '1kb' } } }],
      },
    })
    try {
      const head = 'POST /big HTTP/1.1\r\nHost: gw.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n'
      const chunk = `200\r\n${'a'.repeat(512)}\r\n`
      expect(await sendRaw(limited.port, `${head}${chunk.repeat(3)}0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 413 /)
      expect(await sendRaw(limited.port, `${head}${chunk.repeat(2)}0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /)
    } finally {
      await limited.stop()
    }
  })
})

it('a file for production with a plain target does not start', async () => {
  const routes = {
    transport: { targets: 'https' },
    upstreams: { users: { targets: [{ url: { $env: 'USERS_URL' } }] } },
    routes: [{ id: 'users', match: { path: '/users' }, upstream: 'users' }],
  }
  await expect(startGateway({ routes, env: { USERS_URL: origin.url } })).rejects.toThrow(
    'upstreams.users.targets[0].url: the variable USERS_URL holds http; expected https',
  )
})
