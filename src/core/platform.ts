import type { AuthProviderConfig } from '../auth/config/auth-provider.ts'
import type { CacheCoordinatorApi, EdgeCache } from '../cache/api.ts'
import type { SecretRef } from '../config/schema/scalars.ts'
import type { AuditRetention, IdentityStoreApi, LoginGuardApi } from '../identity/api.ts'
import type { OAuthPaths } from '../identity/oauth-builtins.ts'
import type { LimitShardApi } from '../limits/limiter.ts'
import type { NonceStoreApi } from '../signatures/nonces.ts'
import type { BreakerApi, GlobalUpstreamApi } from '../upstream/circuit-breaker/api.ts'
import type { ObjectNamespace } from './durable-object.ts'
import type { Region } from './region.ts'

/** The deployment as policies see it: configuration, secrets, clock, network and Durable Objects. A test replaces the parts that it controls. */
export interface Platform {
  /** The value of a Worker secret or variable; undefined when it is not set. */
  readonly secret: (ref: SecretRef) => string | undefined
  /** A plain variable such as `UPSTASH_REDIS_REST_URL`; undefined when unset or empty. */
  readonly variable: (name: string) => string | undefined
  /** Epoch milliseconds. Whole, not monotonic, and still between I/O in production. */
  readonly now: () => number
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly fetch: (url: string, init?: RequestInit) => Promise<Response>
  readonly authProviders: Readonly<Record<string, AuthProviderConfig>>
  /** The region in which a request came in. Read when a report is sent, not for each request. */
  readonly region: (request: Request) => Region
  /** The breakers: one for each upstream and region, named by `breakerName`. */
  readonly breakers: ObjectNamespace<BreakerApi>
  /** The state that the regions of an upstream share: one for each upstream, named as it is. */
  readonly globalUpstreams: ObjectNamespace<GlobalUpstreamApi>
  /** Whether a route has the builtin `admin`: operators can drain targets then, so every upstream reads their conditions. */
  readonly hasAdmin: boolean
  /** The counters of limits without Redis. */
  readonly limitShards: ObjectNamespace<LimitShardApi>
  /** Users, OAuth clients, API keys, revocations and signing keys; call it through `makeIdentityClient`. */
  readonly identityStore: ObjectNamespace<IdentityStoreApi>
  /** The used nonces of signed requests. */
  readonly nonceStores: ObjectNamespace<NonceStoreApi>
  /** The recent failed logins. */
  readonly loginGuards: ObjectNamespace<LoginGuardApi>
  /** The edge tier of the cache: of this data centre, or this process. */
  readonly edgeCache: EdgeCache
  /** The in-flight fetches that callers share, and the purges. */
  readonly cacheCoordinators: ObjectNamespace<CacheCoordinatorApi>
  /** How long the audit log of the identity store is kept. */
  readonly auditRetention: AuditRetention
  /** The program that started this process and can make it take another routes file; undefined on Cloudflare. */
  readonly supervisor: Pick<Fetcher, 'fetch'> | undefined
  /** The paths of the OAuth endpoints, for their metadata. */
  readonly oauthPaths: OAuthPaths
}

/**
 * Calls `make` once for each platform and keeps the value, for what the routes of a platform share, such as a store's connection and its
 * health. The further arguments are read at the first call only.
 */
export function perPlatform<P extends object, Rest extends unknown[], T>(
  make: (platform: P, ...rest: Rest) => T,
): (platform: P, ...rest: Rest) => T {
  const made = new WeakMap<object, { readonly value: T }>()
  return (platform, ...rest) => {
    const found = made.get(platform) ?? { value: make(platform, ...rest) }
    made.set(platform, found)
    return found.value
  }
}

/** Calls `make` once for each platform and name, and keeps the values. `all` lists those of a platform so far, by name. */
export function perPlatformAndName<P extends object, T>(
  make: (platform: P, name: string) => T,
): ((platform: P, name: string) => T) & { readonly all: (platform: P) => Readonly<Record<string, T>> } {
  const valuesOf = perPlatform<P, [], Map<string, T>>(() => new Map())
  const get = (platform: P, name: string): T => {
    const values = valuesOf(platform)
    const value = values.get(name) ?? make(platform, name)
    values.set(name, value)
    return value
  }
  return Object.assign(get, { all: (platform: P) => Object.fromEntries(valuesOf(platform)) })
}
