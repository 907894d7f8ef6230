import { rememberBriefly } from './cache/store/edge-tier.ts'
import type { Config } from './config/routes-file.ts'
import type { Platform } from './core/platform.ts'
import { regionOf } from './core/region.ts'
import { oauthPaths } from './identity/oauth-builtins.ts'

/** The real platform: this Worker's bindings, clock and network. */
export function makePlatform(env: Cloudflare.Env, config: Pick<Config, 'authProviders' | 'routes'>): Platform {
  const variable = (name: string): string | undefined => {
    const value: unknown = (env as unknown as Record<string, unknown>)[name]
    return typeof value === 'string' && value !== '' ? value : undefined
  }
  return {
    secret: (ref) => variable(ref.$secret),
    variable,
    now: Date.now,
    random: Math.random,
    fetch: (url, init) => fetch(url, init),
    authProviders: config.authProviders,
    region: regionOf,
    breakers: env.BREAKERS,
    globalUpstreams: env.GLOBAL_UPSTREAMS,
    hasAdmin: config.routes.some((route) => route.builtin === 'admin'),
    limitShards: env.LIMITS,
    identityStore: env.IDENTITY,
    nonceStores: env.NONCES,
    loginGuards: env.LOGINS,
    cacheCoordinators: env.CACHE_STATE,
    edgeCache: rememberBriefly(caches.default, Date.now),
    oauthPaths: oauthPaths(config.routes),
  }
}
