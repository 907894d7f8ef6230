import { exportJWK, generateKeyPair, SignJWT } from 'jose'

/** One configuration of the gateway: the settings in routes.json and in the environment. */
export interface PolicySet {
  readonly upstream?: Record<string, unknown>
  /** The number of targets of the upstream, all of which are the same origin. Default 1. */
  readonly targets?: number
  readonly policies?: Record<string, unknown>
  readonly traced?: boolean
  readonly logged?: boolean
  /** Whether requests have no credentials, which a cache would not serve from its store. */
  readonly anonymous?: boolean
  /** Request headers, sent to the pass-through Worker too. */
  readonly headers?: Readonly<Record<string, string>>
}

const AUTH = { auth: { providers: ['main'], scopes: ['users:read'] } }
const limitBy = (key: string, consistency = 'local') => ({
  rateLimit: [
    { name: 'bench', algorithm: 'fixed-window', limit: 1_000_000_000, window: '60s', key: [key], consistency },
  ],
})
const RETRY = { retry: { attempts: 2, perTryTimeout: '1s' } }
const BREAKER = { circuitBreaker: {} }
const TIMEOUT = { timeout: '2s' }

const FULL: PolicySet = {
  upstream: { ...RETRY, ...BREAKER, ...TIMEOUT },
  policies: { ...AUTH, ...limitBy('jwt.sub') },
  traced: true,
  logged: true,
}

/** From the bare route to everything, and each policy alone. */
export const POLICY_SETS: Readonly<Record<string, PolicySet>> = {
  bare: {},
  auth: { policies: AUTH },
  limit: { policies: limitBy('client.ip') },
  breaker: { upstream: BREAKER },
  retry: { upstream: RETRY },
  timeout: { upstream: TIMEOUT },
  trace: { traced: true },
  log: { logged: true },
  cache: { policies: { cache: { ttl: '1h' } }, anonymous: true },
  full: FULL,
  'full+cors+ip+headers+rewrite': {
    ...FULL,
    policies: {
      ...FULL.policies,
      cors: { origins: ['https://app.example.com'], methods: ['GET'] },
      ip: { allow: ['127.0.0.0/8'], deny: ['10.0.0.0/8'] },
      headers: { request: { set: { 'x-user-id': '{jwt.sub}' } }, response: { set: { 'x-gateway': 'umbral' } } },
      rewrite: { path: '/v1/users/{params.id}' },
    },
    headers: { origin: 'https://app.example.com' },
  },
}

/** The same limiter with counts in the isolate and with leases from the store. No limit is reached. */
export const LIMIT_SETS: Readonly<Record<string, PolicySet>> = {
  'local limit': { policies: limitBy('client.ip') },
  'leased limit': { policies: limitBy('client.ip', 'leased') },
}

/** A breaker and three targets, with each strategy of load balancing. */
export const BALANCED_SETS: Readonly<Record<string, PolicySet>> = {
  'breaker+round-robin': { upstream: BREAKER, targets: 3 },
  'breaker+least-requests': { upstream: { ...BREAKER, loadBalancing: 'least-requests' }, targets: 3 },
  'breaker+ewma': { upstream: { ...BREAKER, loadBalancing: 'ewma' }, targets: 3 },
}

/** A routes.json with `set` on one route, `/users/:id`. */
export function routesOf(set: PolicySet, origin: string): object {
  // Each has a path of its own; otherwise they would be one target.
  const targets = Array.from({ length: set.targets ?? 1 }, (_, nth) => ({
    url: nth === 0 ? origin : `${origin}/${nth}`,
  }))
  return {
    version: 1,
    authProviders: {
      main: {
        type: 'jwt',
        issuer: 'https://id.example.com/',
        audience: 'api',
        algorithms: ['ES256'],
        jwksUri: `${origin}/jwks`,
      },
    },
    upstreams: { users: { targets, ...set.upstream } },
    routes: [
      {
        id: 'user',
        match: { methods: ['GET'], path: '/users/:id' },
        upstream: 'users',
        ...(set.policies && { policies: set.policies }),
      },
    ],
  }
}

/** An issuer of tokens. */
export interface Issuer {
  readonly jwks: object
  readonly token: string
}

/** Makes a new ES256 key, its JWKS, and a token that is valid for twelve hours. */
export async function makeIssuer(): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256')
  const jwk = { ...(await exportJWK(publicKey)), kid: 'bench', alg: 'ES256', use: 'sig' }
  const token = await new SignJWT({ scope: 'users:read' })
    .setProtectedHeader({ alg: 'ES256', kid: 'bench' })
    .setIssuer('https://id.example.com/')
    .setAudience('api')
    .setSubject('user-42')
    .setIssuedAt()
    .setExpirationTime('12h')
    .sign(privateKey)
  return { jwks: { keys: [jwk] }, token }
}
