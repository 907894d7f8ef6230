import type { EdgeCache } from '../cache/store/edge-tier.ts'
import type { AuthProviderConfig } from '../auth/config/auth-provider.ts'
import type { OAuthPaths } from './oauth-paths.ts'
import type { SecretRef } from '../config/schema/scalars.ts'
import type { CacheCoordinator } from '../cache/cache-coordinator.ts'
import type { CircuitBreaker } from '../upstream/circuit-breaker/breaker-object.ts'
import type { IdentityStore } from '../identity/store/identity-store.ts'
import type { LimitShard } from '../limits/store/limit-shard.ts'
import type { LoginGuard } from '../identity/login-guard.ts'
import type { NonceStore } from '../signatures/nonce-store.ts'
import type { UpstreamWorld } from '../upstream/circuit-breaker/global-state-object.ts'
import type { Region } from './region.ts'
import { withTimeout } from '../lib/time.ts'

/** What a policy may know of the deployment: everything that a test replaces comes in through here. */
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
  /** Where a request came in; asked when something is reported, not for each request. */
  readonly region: (request: Request) => Region
  /** An upstream's circuit in one region, and that upstream's one object for the world. */
  readonly breakers: DurableObjectNamespace<CircuitBreaker>
  readonly globalUpstreams: DurableObjectNamespace<UpstreamWorld>
  /** Whether a route lets an operator drain targets, so that every upstream has to ask for them. */
  readonly hasAdmin: boolean
  readonly limitShards: DurableObjectNamespace<LimitShard>
  /** Users, clients, API keys, revocations and the gateway's own keys: ask through `makeIdentityClient`. */
  readonly identityStore: DurableObjectNamespace<IdentityStore>
  /** The nonces of signed requests that were used. */
  readonly nonceStores: DurableObjectNamespace<NonceStore>
  /** Who has failed to log in lately. */
  readonly loginGuards: DurableObjectNamespace<LoginGuard>
  /** Where this data centre, or this process, keeps answers: ask through `makeTiers`. */
  readonly edgeCache: EdgeCache
  /** Who fetches what for all, and what was purged. */
  readonly cacheCoordinators: DurableObjectNamespace<CacheCoordinator>
  /** Where clients find the OAuth endpoints, for metadata. */
  readonly oauthPaths: OAuthPaths
}

/**
 * A Durable Object namespace as its clients see it: `Api` is the small interface of remote calls that the capability exports, so that
 * no client imports the class.
 */
export interface ObjectNamespace<Api> {
  getByName(name: string, options?: DurableObjectNamespaceGetDurableObjectOptions): Api
}

/**
 * The result of one remote call to the object `name`; undefined when it fails, or takes longer than `timeoutMs` milliseconds: then it
 * may have happened. Never rejects.
 */
export function callObject<Api, T>(
  namespace: ObjectNamespace<Api>,
  name: string,
  timeoutMs: number,
  call: (object: Api) => PromiseLike<T>,
  options?: DurableObjectNamespaceGetDurableObjectOptions,
): Promise<T | undefined> {
  return withTimeout(timeoutMs, async () => call(namespace.getByName(name, options)))
}

/**
 * `make`, called once for each platform: what isolates of one platform share, such as a store's connection and its health. A test's
 * platform gets a value of its own.
 */
export function perPlatform<P extends object, T>(make: (platform: P) => T): (platform: P) => T {
  const made = new WeakMap<object, { readonly value: T }>()
  return (platform) => {
    const known = made.get(platform)
    if (known !== undefined) return known.value
    const value = make(platform)
    made.set(platform, { value })
    return value
  }
}

/** `make`, called once for each platform and name. `all` lists what was made for a platform so far, by name. */
export function perPlatformAndName<P extends object, T>(
  make: (platform: P, name: string) => T,
): ((platform: P, name: string) => T) & { readonly all: (platform: P) => ReadonlyMap<string, T> } {
  const all = perPlatform<P, Map<string, T>>(() => new Map<string, T>())
  const get = (platform: P, name: string): T => {
    const values = all(platform)
    const known = values.get(name)
    if (known !== undefined) return known
    const value = make(platform, name)
    values.set(name, value)
    return value
  }
  return Object.assign(get, { all })
}
