import type * as z from 'zod/mini'
import type { Diagnostic } from '../config/schema/diagnostic.ts'
import type { AuthProviderConfig } from '../auth/config/auth-provider.ts'
import type { Handler, Middleware } from './pipeline.ts'
import type { Platform } from './platform.ts'

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
