/** Who makes a change: stands in the audit log. A program of the gateway's own says so in `provider`, such as `bootstrap`. */
export interface Actor {
  /** The auth provider that established the identity. */
  readonly provider: string
  readonly issuer: string
  readonly subject: string
  /** The client's address. */
  readonly client: string
  /** `Exchange.id`. */
  readonly request: string
}

/** A field that is not as the store takes it, named: for the sender of the request. */
export type Invalid = `invalid: ${string}`

/** `full`: as many rows as there may be (see src/identity/config.ts). */
export type StoreRefusal = 'exists' | 'unknown' | 'full' | Invalid

/** Times are epoch milliseconds everywhere in this file. */
export interface User {
  /** Also the `sub` of the tokens. */
  readonly username: string
  readonly email: string | undefined
  readonly fullName: string | undefined
  readonly disabled: boolean
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  readonly createdAt: number
  readonly updatedAt: number
}

/** What may be changed of a user; what is left out stays, `null` takes away. `passwordHash` comes from `hashPassword`. */
export interface UserChange {
  readonly passwordHash?: string
  readonly email?: string | null
  readonly fullName?: string | null
  readonly disabled?: boolean
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
}

/** What is left out is empty: no email, no name, no scopes, no roles, not disabled. */
export interface NewUser extends UserChange {
  readonly username: string
  readonly passwordHash: string
}

/** What `grant_type` can be (RFC 6749 §4.3, §4.4, §6), as far as the provider and the client allow it. */
export const GRANTS = ['password', 'client_credentials', 'refresh_token'] as const
/** A grant by its `grant_type`; a public client is refused `client_credentials`. */
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

/** As `UserChange`, of a client. `newSecret` makes a new secret, and the old one is void at once; a public client is refused one. */
export interface OAuthClientChange {
  readonly name?: string | null
  readonly disabled?: boolean
  readonly grants?: readonly Grant[]
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
  readonly newSecret?: boolean
}

/** A client, and its secret where one was made: shown this once and stored as a hash. */
export interface CreatedOAuthClient {
  readonly oauthClient: OAuthClient
  readonly secret: string | undefined
}

/** What is known of an API key without the key itself, of which the store has the hash. */
export interface ApiKey {
  /** Public, for lists and `revokeApiKey`: not the key. */
  readonly id: string
  /** The subject of requests made with it. Disabling or removing the user of this name, if there is one, revokes the key. */
  readonly owner: string
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  /** Its quota tier; `''` for none. */
  readonly tier: string
  /** Undefined: until revoked. */
  readonly expiresAt: number | undefined
  readonly createdAt: number
  readonly revokedAt: number | undefined
}

/** All refresh tokens that follow from one login. Only the latest is live; an older one shown again ends the family. */
export interface Session {
  /** Put it into access tokens as `sid`: when the family is killed, the revocation feed names it. */
  readonly id: string
  readonly username: string
  /** `''` where the login named no client. */
  readonly clientId: string
  readonly scopes: readonly string[]
  readonly startedAt: number
  /** When the live token ends; never after `endsAt`. */
  readonly expiresAt: number
  readonly endsAt: number
}

/** `subject`: all their tokens issued (`iat`) up to the entry's `at`. `sid`: those of one refresh family. `keyId`: an API key that isolates may remember. */
export type RevocationTarget =
  | { readonly jti: string }
  | { readonly issuer: string; readonly subject: string }
  | { readonly sid: string }
  | { readonly keyId: string }

/** Revoked at `at`; may be forgotten at `until`, since no token that it concerns lives longer. */
export interface Revocation {
  readonly target: RevocationTarget
  readonly at: number
  readonly until: number
}

/** What a follower has not seen. */
export interface RevocationUpdate {
  readonly entries: readonly Revocation[]
  /** For the next question. Opaque. */
  readonly cursor: string
  /** Whether to ask again at once. */
  readonly more: boolean
  /** The cursor was of another store (or `''`): forget what was known, the entries begin at the first. */
  readonly reset: boolean
}

/** The gateway's own keys (ES256), of which `active` signs now. */
export interface SigningKeys {
  readonly active: PrivateJwk
  /** The key that signs, the one that will, and those whose tokens may still live; newest first. */
  readonly published: readonly PublicJwk[]
  /** Ask again after this long, at the latest twice this long: then `active` may be another one. */
  readonly refreshAfterMs: number
}

/** One change. Holds no secret, no hash and no address of a user: names of changed fields, and what rights became. */
export interface AuditEntry {
  readonly seq: number
  readonly at: number
  readonly by: Actor
  /** Such as `user.create`. */
  readonly act: string
  /** The username, client id, key id, … it was done to. */
  readonly on: string
  readonly details: Readonly<Record<string, unknown>>
}

/** One page of a list; `next` is the `after` of the next page. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly next: string | undefined
}

/** Asks for `limit` rows, 1 to 200 (default 50), behind the page whose `next` is `after`; without that, for the first. */
export interface PageRequest {
  readonly after?: string
  readonly limit?: number
}

/** For a user who is disabled, removed or gets another password: besides the refresh families, all tokens of these issuers so far are revoked. */
export interface Cutoff {
  readonly issuers: readonly string[]
  /** When the last of those tokens has expired. */
  readonly until: number
}

/** `holder`: whoever had the token gave it up (RFC 7009). That is no operator's act: it is not in the audit log, and it may find the feed full. */
export type Revoker = Actor | 'holder'

/** What a new API key is made of. */
export interface NewApiKey {
  readonly owner: string
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
  readonly tier?: string
  readonly expiresAt?: number
}

/** What a new client is made of. */
export interface NewOAuthClient extends Omit<OAuthClientChange, 'newSecret'> {
  readonly clientId: string
  /** Default true. A public client cannot have `client_credentials`. */
  readonly confidential?: boolean
}

/** What a login starts. */
export interface NewSession {
  readonly username: string
  /** The hash of the password that was shown: when it is not the user's any more, nothing starts. */
  readonly passwordHash: string
  readonly clientId: string
  readonly scopes: readonly string[]
  /** How long a refresh token may lie unused. */
  readonly idleMs: number
  /** How long the family may go on from login. */
  readonly lifeMs: number
  /** How long an access token made with it lives: so long the feed names a killed family. */
  readonly accessMs: number
}

/** A refresh token that was just made: shown this once and stored as a hash. */
export interface RotatedSession {
  readonly token: string
  readonly family: Session
}

/** An elliptic-curve key on P-256 (RFC 7518 §6.2), as published. */
export interface PublicJwk {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly alg: 'ES256'
  readonly use: 'sig'
  readonly kid: string
  readonly x: string
  readonly y: string
}

/** With its private part `d` (RFC 7518 §6.2.2): for isolates that sign, never for a key set. */
export interface PrivateJwk extends PublicJwk {
  readonly d: string
}
