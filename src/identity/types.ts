import type { NewApiKey } from './store/api-keys.ts'
import type { NewClient } from './store/oauth-clients.ts'
import type { NewFamily, Rotated } from './store/sessions.ts'
import type { PrivateJwk, PublicJwk } from './store/signing-keys.ts'

export type { NewApiKey, NewClient }

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

/** `full`: as many rows as there may be (see src/identity/bounds.ts). */
export type Refusal = 'exists' | 'unknown' | 'full' | Invalid

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
export interface Client {
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
export interface ClientChange {
  readonly name?: string | null
  readonly disabled?: boolean
  readonly grants?: readonly Grant[]
  readonly scopes?: readonly string[]
  readonly roles?: readonly string[]
  readonly newSecret?: boolean
}

/** A client, and its secret where one was made: shown this once and stored as a hash. */
export interface MadeClient {
  readonly client: Client
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
export interface Family {
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
export interface RevocationNews {
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
export interface PageAsk {
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

/** All that the identity store does. Each call is one transaction; what an operator changes is in the audit log in the same one. */
export interface IdentityApi {
  createUser: (user: NewUser, by: Actor) => User | Refusal
  /** `exists` when there is any user at all, or ever was one. */
  createFirstUser: (user: NewUser, by: Actor) => User | Refusal
  getUser: (username: string) => User | 'unknown'
  /** By username, in code-point order. */
  listUsers: (ask: PageAsk) => Page<User> | Invalid
  updateUser: (username: string, change: UserChange, by: Actor, cutoff?: Cutoff) => User | Refusal
  removeUser: (username: string, by: Actor, cutoff?: Cutoff) => 'removed' | Refusal
  userCredentials: (username: string) => { readonly user: User; readonly passwordHash: string } | 'unknown'

  createClient: (client: NewClient, by: Actor) => MadeClient | Refusal
  getClient: (clientId: string) => Client | 'unknown'
  listClients: (ask: PageAsk) => Page<Client> | Invalid
  updateClient: (clientId: string, change: ClientChange, by: Actor) => MadeClient | Refusal
  removeClient: (clientId: string, by: Actor) => 'removed' | 'unknown'
  /** The hash of its secret as `sha256Hex` makes it; undefined for a public client. */
  clientCredentials: (
    clientId: string,
  ) => { readonly client: Client; readonly secretHash: string | undefined } | 'unknown'

  /** `key` is shown this once. */
  createApiKey: (key: NewApiKey, by: Actor) => { readonly key: string; readonly apiKey: ApiKey } | Refusal
  /** By `sha256Hex(key)`. */
  findApiKey: (hash: string) => ApiKey | 'unknown' | 'expired' | 'revoked'
  listApiKeys: (ask: PageAsk & { readonly owner?: string }) => Page<ApiKey> | Invalid
  /** Also tells the revocation feed (`keyId`). */
  revokeApiKey: (id: string, by: Actor) => ApiKey | Refusal

  /** `unknown`: there is no such user or client, it is disabled, or the user has another password by now. */
  startFamily: (family: NewFamily) => Rotated | 'unknown'
  /** `reused`: the token was used before, and its family is dead now. `unknown` too when the token is another client's. */
  rotateRefresh: (token: string, clientId: string, idleMs: number) => Rotated | 'reused' | 'unknown' | 'expired'
  /** Changes nothing. Only the live token of a family is found, and only while its user and client may use it. */
  findRefresh: (token: string) => Family | 'unknown'
  /** For the client that has the token, live or used (RFC 7009). `full`: the family is dead, but the feed has no room to say so, and its access tokens live on. */
  revokeRefresh: (token: string, clientId: string) => 'revoked' | 'unknown' | 'full'
  listFamilies: (ask: PageAsk & { readonly owner?: string }) => Page<Family> | Invalid
  revokeFamily: (id: string, by: Actor) => 'revoked' | 'unknown'

  revoke: (target: RevocationTarget, until: number, by: Revoker) => 'revoked' | Refusal
  /** `''` begins. */
  revocationsSince: (cursor: string) => RevocationNews
  listRevocations: (ask: PageAsk) => Page<Revocation> | Invalid

  /** Makes the first key, or the next, when it is time. Isolates that ask at once get the same. */
  signingKeys: (rotateAfterMs?: number) => SigningKeys
  /** For a key that leaked: a new one signs at once and the others are gone, with all their tokens; isolates know when they next ask. */
  replaceSigningKeys: (by: Actor) => 'replaced'

  /** An operator's act that changed something elsewhere, such as a breaker: only written down. */
  recordAct: (act: string, on: string, details: AuditEntry['details'], by: Actor) => 'recorded' | Invalid
  /** Newest first. */
  auditLog: (ask: PageAsk) => Page<AuditEntry> | Invalid
}

/** The same for Workers: each call takes a second at most, and answers `unavailable` instead of throwing. */
export type IdentityClient = {
  readonly [Name in keyof IdentityApi]: (
    ...args: Parameters<IdentityApi[Name]>
  ) => Promise<ReturnType<IdentityApi[Name]> | 'unavailable'>
}
