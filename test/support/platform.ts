import { env } from 'cloudflare:workers'
import type { Platform } from '../../src/core/platform.ts'
import type { RouteParts } from '../../src/core/policy.ts'
import { DEFAULT_AUDIT_RETENTION } from '../../src/identity/store-limits.ts'

/** A platform with this test run's real Durable Objects, the real clock and the real network; replace what a test must steer. */
export function makeTestPlatform(parts: Partial<Platform> = {}): Platform {
  return {
    secret: () => undefined,
    variable: () => undefined,
    now: Date.now,
    random: Math.random,
    fetch: (url, init) => fetch(url, init),
    authProviders: {},
    region: () => 'local',
    breakers: env.BREAKERS,
    globalUpstreams: env.GLOBAL_UPSTREAMS,
    hasAdmin: false,
    limitShards: env.LIMITS,
    identityStore: env.IDENTITY,
    nonceStores: env.NONCES,
    loginGuards: env.LOGINS,
    cacheCoordinators: env.CACHE_STATE,
    edgeCache: caches.default,
    auditRetention: DEFAULT_AUDIT_RETENTION,
    supervisor: undefined,
    oauthPaths: {},
    ...parts,
  }
}

/** What a policy may know of its route: one without parameters, `auth` or upstreams, unless `parts` say otherwise. */
export function makeTestFacts(parts: Partial<RouteParts> = {}): RouteParts {
  const sendTo = (upstream: string) => () => Promise.reject(new Error(`nothing is sent to "${upstream}" in this test`))
  return {
    id: 'test',
    params: [],
    methods: undefined,
    hasAuth: false,
    authProviders: {},
    upstream: undefined,
    upstreams: [],
    querySet: [],
    headersSet: [],
    toldHeaders: [],
    timeout: undefined,
    sendTo,
    ...parts,
  }
}

/** The real HTTP origin that the test run started. */
export const originUrl = `http://127.0.0.1:${env.ORIGIN_PORT}`
