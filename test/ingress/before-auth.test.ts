import { describe, expect, it } from 'vitest'
import { makeTestGateway } from '../support/gateway-in-workerd.ts'

const authProviders = {
  main: { type: 'jwt', issuer: 'old', audience: 'api', algorithms: ['HS256'], secret: { $secret: 'S' } },
}
const early = {
  name: 'early',
  before: 'auth',
  algorithm: 'token-bucket',
  limit: 1,
  window: '1m',
  burst: 3,
  key: ['client.ip'],
  consistency: 'local',
}
const late = { name: 'late', algorithm: 'fixed-window', limit: 9, window: '1m', key: ['jwt.sub'], consistency: 'local' }
const routes = [
  {
    id: 'a',
    match: { path: '/a' },
    respond: { body: 'in' },
    // In the reverse order of their execution.
    policies: {
      security: {},
      cors: { origins: ['https://app.example.com'] },
      auth: { providers: ['main'] },
      rateLimit: [late, early],
    },
  },
]
const SECRET = 'a-secret-of-at-least-thirty-two-bytes'

describe('a limit before auth', () => {
  it('shields authentication: beyond it nobody is asked who they are, and every answer says so to browsers', async () => {
    const gateway = makeTestGateway({ authProviders, routes }, { secret: () => SECRET })
    const responses = []
    for (let i = 0; i < 5; i++) {
      const headers = { authorization: `Bearer forged-${i}`, origin: 'https://app.example.com' }
      responses.push(await gateway.fetch('/a', { headers }))
    }
    expect(responses.map(({ status }) => status)).toEqual([401, 401, 401, 429, 429])
    expect(responses.map(({ headers }) => headers.get('ratelimit-policy'))).toEqual(
      Array(5).fill('"early";q=1;w=60;burst=3'),
    )
    for (const { headers } of responses) {
      expect(headers.get('access-control-allow-origin')).toBe('https://app.example.com')
      expect(headers.get('x-content-type-options')).toBe('nosniff')
      expect(headers.get('ratelimit')).toMatch(/^"early";r=\d;t=\d+$/)
    }
  })

  it('has a span of its own, before that of auth', async () => {
    let sent = ''
    const gateway = makeTestGateway(
      { authProviders, routes },
      {
        secret: () => SECRET,
        variable: (name) => (name === 'OTEL_EXPORTER_OTLP_ENDPOINT' ? 'http://collector.test' : undefined),
        fetch: async (_url, init) => {
          sent += new TextDecoder().decode(await new Response(init?.body).arrayBuffer())
          return new Response()
        },
      },
    )
    await (await gateway.fetch('/a')).text()
    await gateway.settled()
    const places = ['cors', 'rateLimit.before-auth', 'auth'].map((name) => sent.lastIndexOf(name))
    expect(Math.min(...places)).toBeGreaterThan(-1)
    expect(sent).toContain('security')
    expect(sent.replaceAll('rateLimit.before-auth', '')).not.toContain('rateLimit')
  })
})
