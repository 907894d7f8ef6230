import type * as z from 'zod/mini'
import type { EdgeCache } from '../cache/edge-tier.ts'
import type { Diagnostic } from '../config/schema/diagnostic.ts'
import type { AuthProviderConfig } from '../config/auth-provider.ts'
import type { OAuthPaths } from '../config/oauth-builtins.ts'
import type { SecretRef } from '../config/schema/scalars.ts'
import type { Handler, Middleware } from './pipeline.ts'
import type { Region } from './region.ts'
import type { CacheCoordinator } from '../state/cache-coordinator.ts'
import type { CircuitBreaker } from '../state/circuit-breaker.ts'
import type { IdentityStore } from '../state/identity-store.ts'
import type { LimitShard } from '../state/limit-shard.ts'
import type { LoginGuard } from '../state/login-guard.ts'
import type { NonceStore } from '../state/nonce-store.ts'
import type { UpstreamWorld } from '../state/upstream-world.ts'

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

/** What a policy's cross-check may look at besides its own configuration. */
export interface RouteFacts {
  readonly id: string
  readonly params: readonly string[]
  /** The methods that its `match` names, without the HEAD that GET brings; undefined where it takes all of them. */
  readonly methods: readonly string[] | undefined
  readonly hasAuth: boolean
  readonly authProviders: Readonly<Record<string, AuthProviderConfig>>
  /** The name of the upstream that answers; undefined where the route answers without one. */
  readonly upstream: string | undefined
  /** The names of all upstreams. */
  readonly upstreams: readonly string[]
  /** The query fields that the gateway sets itself on the way to the upstream. */
  readonly querySet: readonly string[]
  /** The request headers, in lower case, whose whole value the gateway sets itself on the way to the upstream. */
  readonly headersSet: readonly string[]
}

/** What a policy is compiled for: its route, and the ways to upstreams. */
export interface RouteParts extends RouteFacts {
  /** How long the route's upstream may take, in milliseconds; undefined where the route answers without one. */
  readonly timeout: number | undefined
  /** All stages of an upstream, by its own settings; `once`: but for its retries and hedges. */
  readonly sendTo: (upstream: string, tries?: 'once') => Handler
}

/** One entry of a route's `policies`: its schema, its cross-checks, and how it becomes a layer. */
export interface Policy<Name extends string = string, Schema extends z.ZodMiniType = z.ZodMiniType> {
  /** Its key in routes.json, and the name of its span if that has none of its own. */
  readonly name: Name
  /** Set where a policy has a second layer, at another place of the order. */
  readonly span?: string
  /** Every field is described with its default and its consequence; the docs table and the JSON Schema come from here. */
  readonly config: Schema
  /** What a schema cannot see. Paths are relative to this policy's configuration. */
  readonly check?: (config: z.output<Schema>, route: RouteFacts) => Diagnostic[]
  /** Request headers that only the gateway may set: the client's copies are dropped on every route, in every spelling. */
  readonly injects?: (config: z.output<Schema>) => readonly string[]
  /** Called once per route, at its first match. */
  readonly compile: (config: z.output<Schema>, platform: Platform, route: RouteParts) => Middleware
}

/** Names a policy's types once, so that its file states them nowhere else. */
export function definePolicy<const Name extends string, Schema extends z.ZodMiniType>(
  policy: Policy<Name, Schema>,
): Policy<Name, Schema> {
  return policy
}
