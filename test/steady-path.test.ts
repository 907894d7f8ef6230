import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { expect, it } from 'vitest'
import type { Platform } from '../src/core/platform.ts'
import { makeTestGateway } from './support/gateway-in-workerd.ts'
import { originUrl } from './support/platform.ts'

const ISSUER = 'https://id.test/'
const JWKS = 'https://id.test/jwks'
const COLLECTOR = 'http://collector.test'

const STAGES = {
  loadBalancing: 'ewma',
  outlierDetection: {},
  healthCheck: { path: '/ok' },
  maxConcurrent: 100,
  hedge: { after: '4s' },
}

it.each<[string, object, Platform['oauthPaths']?]>([
  ['token, limit, breaker, retry, trace and log', {}],
  ['the same, with balancing, health, shedding and hedging', STAGES],
  ['the same, where tokens can be revoked', STAGES, { revoke: '/revoke' }],
])('awaits the origin and nothing else once it is warm: %s', async (_, stages, oauthPaths = {}) => {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' }] }
  const token = await new SignJWT({ scope: 'users:read' })
    .setProtectedHeader({ alg: 'ES256', kid: 'k' })
    .setIssuer(ISSUER)
    .setAudience('api')
    .setSubject('7')
    .setExpirationTime('1h')
    .sign(privateKey)

  const hanging = new Promise<never>(() => {})
  const calls: string[] = []
  const nothingRevoked = { entries: [], cursor: 'a.0', more: false, reset: true }
  let questions = 0
  // The identity store responds once. The breaker's object and the collector never respond, so that a request that awaits them hangs.
  const platform: Partial<Platform> = {
    variable: (name) => ({ LOG_LEVEL: 'silent', OTEL_EXPORTER_OTLP_ENDPOINT: COLLECTOR })[name],
    oauthPaths,
    identityStore: {
      getByName: () => ({ execute: () => (questions++ === 0 ? Promise.resolve(nothingRevoked) : hanging) }),
    } as unknown as Platform['identityStore'],
    breakers: { getByName: () => ({ report: () => hanging }) } as unknown as Platform['breakers'],
    fetch: (url, init) => {
      calls.push(url)
      if (url === JWKS) return Promise.resolve(Response.json(jwks))
      return url.startsWith(COLLECTOR) ? hanging : fetch(url, init)
    },
  }
  const gateway = makeTestGateway(
    {
      authProviders: { main: { type: 'jwt', issuer: ISSUER, audience: 'api', algorithms: ['ES256'], jwksUri: JWKS } },
      upstreams: {
        users: {
          targets: [{ url: `${originUrl}/a` }, { url: `${originUrl}/b` }],
          timeout: '5s',
          retry: { perTryTimeout: '2s' },
          circuitBreaker: {},
          ...stages,
        },
      },
      routes: [
        {
          id: 'user',
          match: { path: '/users/:id' },
          upstream: 'users',
          policies: {
            auth: { providers: ['main'], scopes: ['users:read'] },
            rateLimit: [
              {
                name: 'l',
                algorithm: 'fixed-window',
                limit: 1_000,
                window: '60s',
                key: ['jwt.sub'],
                consistency: 'local',
              },
            ],
          },
        },
      ],
    },
    platform,
  )
  const headers = { authorization: `Bearer ${token}` }
  expect((await gateway.fetch('/users/1', { headers })).status).toBe(200)
  calls.length = 0
  for (let nth = 0; nth < 20; nth++) expect((await gateway.fetch('/users/1', { headers })).status).toBe(200)
  const toOrigin = new RegExp(`^${originUrl}/[ab]/users/1$`)
  expect(calls.filter((url) => !url.startsWith(COLLECTOR))).toEqual(Array(20).fill(expect.stringMatching(toOrigin)))
})
