import type { CacheCoordinatorApi } from './cache/api.ts'
import type { Config } from './config/routes-file.ts'
import type { ObjectNamespace } from './core/durable-object.ts'
import type { Platform } from './core/platform.ts'
import { regionOf } from './core/region.ts'
import { remoteObjects, type ObjectBinding } from './core/remote-objects.ts'
import type { IdentityStoreApi, LoginGuardApi } from './identity/api.ts'
import { oauthPaths } from './identity/oauth-builtins.ts'
import type { LimitShardApi } from './limits/limiter.ts'
import type { NonceStoreApi } from './signatures/nonces.ts'
import { observeObjects } from './telemetry/events.ts'
import type { ObjectClass } from './telemetry/object-errors.ts'
import type { BreakerApi, GlobalUpstreamApi } from './upstream/circuit-breaker/api.ts'

/** The real platform: this Worker's bindings, clock and network. */
export function makePlatform(
  env: Cloudflare.Env,
  config: Pick<Config, 'auditRetention' | 'authProviders' | 'routes'>,
): Platform {
  const variable = (name: string): string | undefined => {
    const value: unknown = (env as unknown as Record<string, unknown>)[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  const objects = <Api>(object: ObjectClass, binding: ObjectBinding, local: ObjectNamespace<Api>) => {
    const namespace =
      env.STATE === undefined ? local : remoteObjects<Api>(env.STATE, variable('UMBRAL_STATE_SECRET') ?? '', binding)
    // The limits log the state of their store themselves, with its counters.
    return observeObjects(object, namespace, variable('LOG_LEVEL'), object !== 'LimitShard')
  }
  return {
    secret: (ref) => variable(ref.$secret),
    variable,
    now: Date.now,
    random: Math.random,
    fetch: (url, init) => fetch(url, init),
    authProviders: config.authProviders,
    region: regionOf,
    breakers: objects<BreakerApi>('CircuitBreaker', 'BREAKERS', env.BREAKERS),
    globalUpstreams: objects<GlobalUpstreamApi>('GlobalUpstreamState', 'GLOBAL_UPSTREAMS', env.GLOBAL_UPSTREAMS),
    hasAdmin: config.routes.some((route) => route.builtin === 'admin'),
    limitShards: objects<LimitShardApi>('LimitShard', 'LIMITS', env.LIMITS),
    identityStore: objects<IdentityStoreApi>('IdentityStore', 'IDENTITY', env.IDENTITY),
    nonceStores: objects<NonceStoreApi>('NonceStore', 'NONCES', env.NONCES),
    loginGuards: objects<LoginGuardApi>('LoginGuard', 'LOGINS', env.LOGINS),
    cacheCoordinators: objects<CacheCoordinatorApi>('CacheCoordinator', 'CACHE_STATE', env.CACHE_STATE),
    edgeCache: caches.default,
    auditRetention: { maxAgeMs: config.auditRetention.maxAge, maxRows: config.auditRetention.maxRows },
    oauthPaths: oauthPaths(config.routes),
    supervisor: env.SUPERVISOR,
  }
}
