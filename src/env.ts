import { rememberBriefly } from './cache/store/edge-tier.ts'
import type { Config } from './config/routes-file.ts'
import type { ObjectNamespace } from './core/durable-object.ts'
import type { Platform } from './core/platform.ts'
import { regionOf } from './core/region.ts'
import { oauthPaths } from './identity/oauth-builtins.ts'
import { observeObjects } from './telemetry/events.ts'
import type { ObjectClass } from './telemetry/object-errors.ts'

/** The real platform: this Worker's bindings, clock and network. */
export function makePlatform(
  env: Cloudflare.Env,
  config: Pick<Config, 'auditRetention' | 'authProviders' | 'routes'>,
): Platform {
  const variable = (name: string): string | undefined => {
    const value: unknown = (env as unknown as Record<string, unknown>)[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  // The limits log the state of their store themselves, with its counters.
  const observed = <Api>(object: ObjectClass, namespace: ObjectNamespace<Api>) =>
    observeObjects(object, namespace, variable('LOG_LEVEL'), object !== 'LimitShard')
  return {
    secret: (ref) => variable(ref.$secret),
    variable,
    now: Date.now,
    random: Math.random,
    fetch: (url, init) => fetch(url, init),
    authProviders: config.authProviders,
    region: regionOf,
    breakers: observed('CircuitBreaker', env.BREAKERS),
    globalUpstreams: observed('GlobalUpstreamState', env.GLOBAL_UPSTREAMS),
    hasAdmin: config.routes.some((route) => route.builtin === 'admin'),
    limitShards: observed('LimitShard', env.LIMITS),
    identityStore: observed('IdentityStore', env.IDENTITY),
    nonceStores: observed('NonceStore', env.NONCES),
    loginGuards: observed('LoginGuard', env.LOGINS),
    cacheCoordinators: observed('CacheCoordinator', env.CACHE_STATE),
    edgeCache: rememberBriefly(caches.default, Date.now),
    auditRetention: { maxAgeMs: config.auditRetention.maxAge, maxRows: config.auditRetention.maxRows },
    oauthPaths: oauthPaths(config.routes),
  }
}
