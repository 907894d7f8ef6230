/** The author of a change, as in the audit log. For a change by the gateway itself, `provider` names its part, such as `bootstrap`. */
export interface Actor {
  /** The auth provider that established the identity. */
  readonly provider: string
  readonly issuer: string
  readonly subject: string
  /** The caller's address. */
  readonly client: string
  /** `Exchange.id`. */
  readonly request: string
}

/** Names an invalid field and what was expected there, for the caller. */
export type Invalid = `invalid: ${string}`

/** Why the store refuses a change. `full`: it has as many rows as STORE_LIMITS allows. */
export type StoreRefusal = 'exists' | 'unknown' | 'full' | Invalid

/** A user of the gateway. All times in this file are epoch milliseconds. */
export interface User {
  /** Also the `sub` of the user's tokens. */
  readonly username: string
  readonly email: string | undefined
  readonly fullName: string | undefined
  readonly disabled: boolean
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  readonly createdAt: number
  readonly updatedAt: number
}

/** A change of a user: an absent field keeps its value, `null` removes it. `passwordHash` comes from `hashPassword`. */
export interface UserChange {
  readonly passwordHash?: string
  readonly email?: string | null
  readonly fullName?: string | null
  readonly disabled?: boolean
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
}

/** A user to create. An absent field means none: no email, no name, no scopes, no roles, not disabled. */
export interface NewUser extends UserChange {
  readonly username: string
  readonly passwordHash: string
}

/** The supported values of `grant_type` (RFC 6749 §4.3, §4.4, §6). The provider and the OAuth client may allow fewer. */
export const GRANTS = ['password', 'client_credentials', 'refresh_token'] as const

/** A grant by its `grant_type`. A public client cannot have `client_credentials`. */
export type Grant = (typeof GRANTS)[number]

/** An OAuth client (RFC 6749 §2). */
export interface OAuthClient {
  readonly clientId: string
  readonly name: string | undefined
  readonly disabled: boolean
  /** False for a public client, which has no secret. */
  readonly confidential: boolean
  readonly grants: readonly Grant[]
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  readonly createdAt: number
  readonly updatedAt: number
}

/** A change of an OAuth client, like `UserChange`. `newSecret` replaces the secret at once; it is invalid for a public client. */
export interface OAuthClientChange {
  readonly name?: string | null
  readonly disabled?: boolean
  readonly grants?: readonly Grant[]
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
  readonly newSecret?: boolean
}

/** An OAuth client and its secret, if one was just made. The secret is stored as a hash alone, so it is shown here only. */
export interface CreatedOAuthClient {
  readonly oauthClient: OAuthClient
  readonly secret: string | undefined
}

/** An API key without the key itself, of which the store has the hash. */
export interface ApiKey {
  /** A public id, for lists and `revokeApiKey`. */
  readonly id: string
  /** The subject of requests with this key. It is revoked when a user of this name is disabled or removed. */
  readonly owner: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  /** The quota tier; `''` for none. */
  readonly tier: string
  /** Undefined: valid until revoked. */
  readonly expiresAt: number | undefined
  readonly createdAt: number
  readonly revokedAt: number | undefined
}

/** The refresh tokens that follow from one login. Only the latest is live; the use of an older one ends the session. */
export interface Session {
  /** The claim `sid` of its access tokens. The revocation feed names it when the session is ended. */
  readonly id: string
  readonly username: string
  /** `''` where the login named no OAuth client. */
  readonly clientId: string
  readonly scopes: readonly string[]
  readonly startedAt: number
  /** When the live token expires; not after `endsAt`. */
  readonly expiresAt: number
  readonly endsAt: number
}

/** The revoked tokens. `subject`: those with an `iat` up to the entry's `at`. `sid`: those of one session. `keyId`: an API key that isolates may cache. */
export type RevocationTarget =
  | { readonly jti: string }
  | { readonly issuer: string; readonly subject: string }
  | { readonly sid: string }
  | { readonly keyId: string }

/** The parts of a token of the gateway that a revocation may name. `issuedAt`: its `iat`, in epoch milliseconds. */
export interface RevocableToken {
  readonly issuer: string
  readonly subject: string
  readonly jti: string
  readonly sid: string | undefined
  readonly issuedAt: number
}

/** A revocation made at `at`. It may be deleted after `until`, when the last token that it covers has expired. */
export interface Revocation {
  readonly target: RevocationTarget
  readonly at: number
  readonly until: number
}

/** The part of the revocation feed after a cursor. */
export interface RevocationUpdate {
  readonly entries: readonly Revocation[]
  /** The cursor of the next call. Opaque. */
  readonly cursor: string
  /** Whether the feed has further entries now. */
  readonly more: boolean
  /** The cursor was `''` or of another store: `entries` start at the first, and earlier ones must be discarded. */
  readonly reset: boolean
}

/** The gateway's own ES256 keys. */
export interface SigningKeys {
  /** The key that signs now. */
  readonly active: PrivateJwk
  /** The active key, the next one, and those whose tokens may still be valid; newest first. */
  readonly published: readonly PublicJwk[]
  /** The keys must be read again after this many milliseconds, and are not usable after twice as many: `active` may have changed. */
  readonly refreshAfterMs: number
}

/** One change in the audit log. It has the names of changed fields and the new rights; no secret, no hash and no e-mail address. */
export interface AuditEntry {
  readonly seq: number
  readonly at: number
  readonly by: Actor
  /** The kind of change, such as `user.create`. */
  readonly act: string
  /** The username, client id, key id, … that was changed. */
  readonly on: string
  readonly details: Readonly<Record<string, unknown>>
}

/** One page of a list; `next` is the `after` of the next page. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | undefined
}

/** Requests `limit` rows, 1 to 200 (default 50), after the page whose `next` is `after`; the first page without it. */
export interface PageRequest {
  readonly after?: string
  readonly limit?: number
}

/** Revokes all tokens that a subject has from these issuers so far. */
export interface SubjectRevocation {
  readonly issuers: readonly string[]
  /** When the last of those tokens expires. */
  readonly until: number
}

/** Who revokes. `holder`: the token's holder (RFC 7009). That is not audited, and has a smaller share of the feed than operators have. */
export type Revoker = Actor | 'holder'

/** An API key to create. */
export interface NewApiKey {
  readonly owner: string
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
  readonly tier?: string
  readonly expiresAt?: number
}

/** An OAuth client to create. */
export interface NewOAuthClient extends Omit<OAuthClientChange, 'newSecret'> {
  readonly clientId: string
  /** Default true. A public client cannot have `client_credentials`. */
  readonly confidential?: boolean
}

/** A session to start after a login. */
export interface NewSession {
  readonly username: string
  /** The hash that the password was verified against. When it is no longer the user's, no session starts. */
  readonly passwordHash: string
  readonly clientId: string
  readonly scopes: readonly string[]
  /** How long an unused refresh token is valid. */
  readonly idleMs: number
  /** How long the session lasts from the login on. */
  readonly lifeMs: number
  /** The lifetime of its access tokens. The feed names an ended session for this long. */
  readonly accessMs: number
}

/** A refresh token that was just made. It is stored as a hash alone, so it is shown here only. */
export interface IssuedRefreshToken {
  readonly token: string
  readonly session: Session
}

/** A public key on the curve P-256 (RFC 7518 §6.2), as in a key set. */
export interface PublicJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly alg: 'ES256'
  readonly use: 'sig'
  readonly kid: string
  readonly x: string
  readonly y: string
}

/** A private key, with `d` (RFC 7518 §6.2.2), for isolates that sign. Never in a key set. */
export interface PrivateJwk extends PublicJwk {
  readonly d: string
}
