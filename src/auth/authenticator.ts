import type { Exchange, Identity } from '../core/exchange.ts'
import type { ProblemCode } from '../core/problem.ts'

/** A caller as one provider established it, and for how long that holds. */
export interface Authenticated {
  readonly identity: Identity
  /** Where a route requires all of its providers: who the others say is calling. A revocation of any of them counts. */
  readonly vouchers?: readonly Identity[]
  /** Epoch milliseconds, clock skew included; good from `validFrom` until before `validUntil`. */
  readonly validFrom: number
  readonly validUntil: number
  /** The identity headers made of it last, and for which sources; routes mostly ask for the same ones. */
  headers: { readonly sources: string; readonly pairs: HeaderPairs } | undefined
}

/** Header fields as an origin gets them, lower-case names, in the order of the configuration; no value is empty. */
export type HeaderPairs = readonly (readonly [name: string, value: string])[]

/** One entry of `authProviders` at work: how its kind of credential is found in a request and judged. */
export interface Authenticator {
  /** Its name in routes.json. */
  readonly name: string
  /** False when a secret or variable that it needs is not set; then `authenticate` says `not-configured`. */
  readonly configured: boolean
  /** A challenge (RFC 9110 §11.6.1) for the `WWW-Authenticate` of a 401: a scheme and its realm. */
  readonly challenge: string
  /** The 401 for a request that carries nothing of this kind. */
  readonly missing: ProblemCode
  /** Whether a 403 may name the scopes and roles that a route requires. */
  readonly discloses: boolean
  /** A request header, in lower case, that holds a secret between client and gateway, and that no origin gets. */
  readonly hides: string | undefined
  /** A caller that was established before and is good at `now` (epoch ms): at once, as nearly every request ends here. */
  readonly recall: (x: Exchange, now: number) => Authenticated | undefined
  /** The caller, or why the credential is refused; undefined when the request carries none of this kind. Never rejects. */
  readonly authenticate: (x: Exchange) => Promise<Authenticated | ProblemCode | undefined>
}

/** What a provider that remembers nothing recalls: nothing. */
export const noRecall = (): undefined => undefined

/** A caller established for this one request: nothing of it is kept. */
export function authenticatedOnce(identity: Identity): Authenticated {
  return { identity, validFrom: -Infinity, validUntil: Infinity, headers: undefined }
}
