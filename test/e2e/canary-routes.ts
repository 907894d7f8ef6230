/** Where the gateway of the canary test finds what it calls. */
export interface Places {
  /** Answers, to origins' requests. */
  readonly origin: string
  /** Never answers. */
  readonly hanging: string
  /** Answers with what is not HTTP. */
  readonly garbage: string
}

const DEAD = 'http://127.0.0.1:1'

const limit = (name: string, more: object) => ({
  name,
  algorithm: 'fixed-window',
  limit: 1_000,
  window: '60s',
  key: ['client.ip'],
  ...more,
})

const hmac = (keyid: string, name: string) => ({ keyid, alg: 'hmac-sha256', secret: { $secret: name } })

/** Providers of every type, some of whose issuers fail in ways that tell what they were sent. */
const authProviders = {
  own: { type: 'jwt', audience: 'api', issuer: 'https://gw.test/', algorithms: ['ES256'], keys: 'self' },
  partner: { type: 'jwt', audience: 'api', issuer: 'partner', algorithms: ['HS256'], secret: { $secret: 'PARTNER' } },
  published: {
    type: 'jwt',
    audience: 'api',
    issuer: 'published',
    algorithms: ['RS256'],
    jwksUri: { $env: 'JWKS_URL' },
  },
  keys: { type: 'apiKey' },
  opaque: {
    type: 'introspection',
    url: { $env: 'ISSUER_URL' },
    clientId: 'gw',
    clientSecret: { $secret: 'INTROSPECTION' },
  },
  late: {
    type: 'introspection',
    url: { $env: 'LATE_URL' },
    clientId: 'gw',
    clientSecret: { $secret: 'INTROSPECTION' },
    timeout: '100ms',
  },
  signed: { type: 'httpSignature', keys: [hmac('c', 'CALLER')] },
  certified: { type: 'mtls', subjects: ['CN=partner'] },
  unset: { type: 'jwt', audience: 'api', issuer: 'unset', algorithms: ['HS256'], secret: { $secret: 'UNSET' } },
}

function upstreams({ origin, hanging, garbage }: Places): object {
  const to = (url: string, more: object = {}) => ({ targets: [{ url }], sign: hmac('gateway', 'ORIGIN'), ...more })
  const retry = { attempts: 1, retryOn: ['connect-failure', 'gateway-error'] }
  const circuitBreaker = { minimumRequests: 1, failureRate: 1, openDuration: '60s' }
  return {
    origin: to(origin, { circuitBreaker: { minimumRequests: 1_000 } }),
    asymmetric: to(origin, { sign: { keyid: 'gateway', alg: 'ecdsa-p256-sha256', key: { $secret: 'ORIGIN_KEY' } } }),
    keyless: to(origin, { sign: hmac('gateway', 'UNSET') }),
    // A secret that is no key for its algorithm.
    misfit: to(origin, { sign: { keyid: 'gateway', alg: 'ed25519', key: { $secret: 'ORIGIN' } } }),
    dead: to(DEAD, { retry, circuitBreaker }),
    hanging: to(hanging, { timeout: '200ms' }),
    garbage: to(garbage),
  }
}

/** Every builtin, every kind of answer, every policy that can refuse. */
export function canaryRoutes(places: Places): { version: number; routes: { id: string }[] } & Record<string, unknown> {
  const route = (id: string, answer: object, policies: object = {}) => ({
    id,
    match: { path: `/${id}` },
    ...answer,
    policies,
  })
  const builtin = (name: string, policies: object = {}) => route(name, { builtin: name }, policies)
  const door = (id: string, policies: object) => route(id, { upstream: 'origin' }, policies)
  const routes = [
    ...['health', 'revoke', 'introspect', 'jwks', 'metadata'].map((name) => builtin(name)),
    { ...builtin('bootstrap'), match: { path: '/bootstrap', methods: ['POST'] } },
    { ...builtin('admin', { auth: { providers: ['own'], roles: ['admin'] } }), match: { path: '/admin/*' } },
    builtin('token', { rateLimit: [limit('logins', { before: 'auth', consistency: 'local' })] }),
    builtin('userinfo', { auth: { providers: ['own'] } }),
    ...['partner', 'published', 'keys', 'opaque', 'late', 'signed', 'certified', 'unset'].map((name) =>
      door(name, { auth: { providers: [name] } }),
    ),
    door('any', { auth: { providers: ['partner', 'published', 'keys', 'opaque', 'signed'] } }),
    door('all', { auth: { providers: ['keys', 'partner'], require: 'all', scopes: ['never'] } }),
    door('scoped', { auth: { providers: ['partner'], roles: ['never'], claims: { a: 'never' } } }),
    ...Object.keys(upstreams(places)).map((name) => route(name, { upstream: name })),
    door('limited', { rateLimit: [limit('strict', { consistency: 'strict' })] }),
    door('spent', { rateLimit: [limit('once', { limit: 1, consistency: 'local', before: 'auth' })] }),
    door('small', { bodyLimit: { max: '16b' } }),
    door('elsewhere', { ip: { deny: ['127.0.0.0/8'] } }),
    door('abroad', { geo: { allow: ['NZ'], onUnknown: 'deny' } }),
    door('human', { bot: { minScore: 99 } }),
    door('ruled', { rules: { forbid: { cookie: '*' } } }),
    door('shared', {
      cors: { origins: ['https://app.example.com'], methods: ['GET'], credentials: true },
      security: {},
    }),
    door('edited', {
      auth: { providers: ['partner'] },
      rewrite: { path: '/other', query: { remove: ['code'] } },
      headers: { request: { set: { 'x-who': '{jwt.sub}' }, remove: ['cookie'] }, response: { remove: ['server'] } },
      mirror: { upstream: 'dead' },
    }),
    door('parted', { split: [{ upstream: 'hanging', percent: 100 }] }),
    route('moved', { redirect: { path: '/health' } }),
    route('said', { respond: { body: 'said' } }),
  ]
  return { version: 1, authProviders, upstreams: upstreams(places), routes }
}
