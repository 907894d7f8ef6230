import type * as z from 'zod/mini'
import type { AuthProviderConfig } from '../auth/config/auth-provider.ts'
import type { Diagnostic } from '../config/schema/diagnostic.ts'
import type { Handler, Middleware } from './pipeline.ts'
import type { Platform } from './platform.ts'

/** Whether URLs of the target in a response's fields are changed to those of the gateway. */
export type LocationMode = 'rewrite' | 'keep'

/** The facts of a route that a policy's check may read besides its own configuration. */
export interface RouteFacts {
  readonly id: string
  /** The names of the parameters of `match.path`; `*` for a final `/*`. */
  readonly params: readonly string[]
  /** The methods that `match` names, without the HEAD that follows GET; undefined where the route takes every method. */
  readonly methods: readonly string[] | undefined
  readonly hasAuth: boolean
  readonly authProviders: Readonly<Record<string, AuthProviderConfig>>
  /** The name of the route's upstream; undefined where it responds without one. */
  readonly upstream: string | undefined
  /** The names of all upstreams. */
  readonly upstreams: readonly string[]
  /** The query fields that the gateway sets towards the upstream. */
  readonly querySet: readonly string[]
  /** The request headers, in lower case, whose whole value the gateway sets towards the upstream. */
  readonly headersSet: readonly string[]
}

/** What `compile` of a policy receives: its route's facts, and handlers that send to upstreams. */
export interface RouteParts extends RouteFacts {
  /** The headers that the `tell` of the route's upstreams names. */
  readonly toldHeaders: readonly string[]
  /** The timeout of the route's upstream, in milliseconds; undefined where it responds without one. */
  readonly timeout: number | undefined
  /** The handler of an upstream with its own settings; `once`: without retries and hedges. */
  readonly sendTo: (upstream: string, tries?: 'once') => Handler
}

/** A text of a configuration and its path: keys and indexes from the policy's own configuration. */
export interface PlacedText {
  readonly path: Diagnostic['path']
  readonly text: string
}

/** The requirements of a policy that authenticates, such as `auth`. */
export interface AuthenticationFacts {
  /** Names of `authProviders`. */
  readonly providers: readonly string[]
  /** Whether all providers must accept the request, and not any of them. */
  readonly requiresAll: boolean
  readonly roles: readonly string[]
  readonly scopes: readonly string[]
}

/** A count that all limiters of its name share in the whole file, so that their settings must be equal. */
export interface SharedCount {
  readonly path: Diagnostic['path']
  readonly name: string
  /** The settings as text; equal for equal settings. */
  readonly settings: string
}

/**
 * What a policy declares about its configuration on a route. The checks of the whole file read these facts and name no policy. An absent
 * field means that the policy does nothing of this kind. Paths are relative to the policy's configuration.
 */
export interface PolicyFacts {
  /** Request headers, in lower case, whose whole value the gateway sets towards the upstream. */
  readonly setsHeaders?: readonly string[]
  /** Query fields that the gateway sets towards the upstream. */
  readonly setsQuery?: readonly string[]
  /** Whether URLs of the target in a response's fields become those of the gateway. */
  readonly location?: LocationMode
  /** Templates whose values become part of the request to the upstream. */
  readonly templates?: readonly PlacedText[]
  /** Request attributes that decide which upstream responds. */
  readonly selectsBy?: readonly PlacedText[]
  /** Upstreams that respond to a share of the requests, in place of the route's own. */
  readonly respondingUpstreams?: readonly string[]
  /** Upstreams that receive copies of requests. */
  readonly copyingUpstreams?: readonly string[]
  /** Paths of settings that have no effect on a route without an upstream; `[]` is the whole policy. */
  readonly needsUpstream?: readonly Diagnostic['path'][]
  /** The requirements on the caller; a policy with this field authenticates. */
  readonly authentication?: AuthenticationFacts
  /** The only networks from which requests are allowed. */
  readonly allowedNetworks?: readonly PlacedText[]
  /** Limits that run before authentication, and whether each counts every client separately. */
  readonly limitsBeforeAuth?: readonly { readonly perClient: boolean }[]
  /** Counts that the policy shares with other routes. */
  readonly sharedCounts?: readonly SharedCount[]
}

/** The facts of a policy on a route, with its name. */
export interface DeclaredFacts extends PolicyFacts {
  readonly policy: string
}

/** The definition of a policy: its schema, its facts, its cross-checks, and its compilation to a layer. */
export interface Policy<Name extends string = string, Schema extends z.ZodMiniType = z.ZodMiniType> {
  /** Its key in routes.json, and the name of its span if that has none of its own. */
  readonly name: Name
  /** The name of the span; set where a policy has a second layer, at another place in the order. */
  readonly span?: string
  /** Every field is described with its default and its consequence; the docs table and the JSON Schema come from here. */
  readonly config: Schema
  /** The facts of this configuration that the checks of the whole file read. */
  facts?(config: z.output<Schema>): PolicyFacts
  /** The diagnostics that a schema cannot find. Paths are relative to this policy's configuration. */
  check?(config: z.output<Schema>, route: RouteFacts): Diagnostic[]
  /** The contradictions with other policies of the route. Paths are relative to the route's `policies`. */
  checkBeside?(config: z.output<Schema>, declared: readonly DeclaredFacts[]): Diagnostic[]
  /** Request headers that only the gateway may set: the client's copies are dropped on every route, in every spelling. */
  injects?(config: z.output<Schema>): readonly string[]
  /** Makes the layer; called once per route, at its first match. */
  compile(config: z.output<Schema>, platform: Platform, route: RouteParts): Middleware
}

/** Returns `policy`; infers its types, so that its file does not repeat them. */
export function definePolicy<const Name extends string, Schema extends z.ZodMiniType>(
  policy: Policy<Name, Schema>,
): Policy<Name, Schema> {
  return policy
}

/** The texts of `fields`, each with the path `path` and its name. */
export function placedTexts(path: Diagnostic['path'], fields: Readonly<Record<string, string>> = {}): PlacedText[] {
  return Object.entries(fields).map(([name, text]) => ({ path: [...path, name], text }))
}
