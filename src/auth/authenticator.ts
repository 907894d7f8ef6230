import type { Exchange, Identity } from '../core/exchange.ts'
import type { ProblemCode } from '../core/problem.ts'

/** A caller that a provider authenticated, and how long that is valid. */
export interface Authenticated {
  readonly identity: Identity
  /** The identities of the other providers, where a route requires all of them. A revocation of any of them counts. */
  readonly vouchers?: readonly Identity[]
  /** Epoch milliseconds, clock skew included; good from `validFrom` until before `validUntil`. */
  readonly validFrom: number
  readonly validUntil: number
  /** The latest identity headers made of it, and their sources: most routes use the same ones. */
  headers: { readonly sources: string; readonly pairs: HeaderPairs } | undefined
}

/** Header fields for an origin, with lower-case names, in the order of the configuration; no value is empty. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[]

/** One entry of `authProviders`, compiled: finds its kind of credential in a request and checks it. */
export interface Authenticator {
  /** Its name in routes.json. */
  readonly name: string
  /** False when a secret or variable that it needs is not set; then `authenticate` gives `not-configured`. */
  readonly configured: boolean
  /** A challenge (RFC 9110 §11.6.1) for the `WWW-Authenticate` of a 401: a scheme and its realm. */
  readonly challenge: string
  /** The 401 code for a request without a credential of this kind. */
  readonly missing: ProblemCode
  /** Whether a 403 may name the scopes and roles that a route requires. */
  readonly discloses: boolean
  /** A request header, in lower case, that holds a secret between client and gateway. Origins do not receive it. */
  readonly hides: string | undefined
  /** The cached caller that is valid at `now` (epoch ms). Synchronous, because most requests are decided here. */
  readonly recall: (x: Exchange, now: number) => Authenticated | undefined
  /** The caller, or the code of the refusal; undefined when the request has no credential of this kind. Never rejects. */
  readonly authenticate: (x: Exchange) => Promise<Authenticated | ProblemCode | undefined>
}

/** The `recall` of a provider without a cache. */
export const noRecall = (): undefined => undefined

/** A caller for this one request: it is not cached. */
export function authenticatedOnce(identity: Identity): Authenticated {
  return { identity, validFrom: -Infinity, validUntil: Infinity, headers: undefined }
}
