import type {
  Actor,
  ApiKey,
  AuditEntry,
  CreatedOAuthClient,
  Invalid,
  IssuedRefreshToken,
  NewApiKey,
  NewOAuthClient,
  NewSession,
  NewUser,
  OAuthClient,
  OAuthClientChange,
  Page,
  PageRequest,
  RevocableToken,
  Revocation,
  RevocationTarget,
  RevocationUpdate,
  Revoker,
  Session,
  SigningKeys,
  StoreRefusal,
  SubjectRevocation,
  User,
  UserChange,
} from './types.ts'

/** How long entries of the audit log are kept: entries beyond either bound are deleted, the oldest first. */
export interface AuditRetention {
  readonly maxAgeMs: number
  readonly maxRows: number
}

/**
 * The operations of the identity store. Each runs in one transaction, which also writes the audit entry of an operator's change.
 * Results: a row or list; `unknown`, `exists` or `full`; `invalid: ‹field›: ‹expectation›`.
 */
export interface IdentityApi {
  createUser: (user: NewUser, by: Actor) => User | StoreRefusal
  /** `exists` when the store has a user or ever had one. */
  createFirstUser: (user: NewUser, by: Actor) => User | StoreRefusal
  getUser: (username: string) => User | 'unknown'
  /** By username, in code-point order. */
  listUsers: (request: PageRequest) => Page<User> | Invalid
  updateUser: (username: string, change: UserChange, by: Actor, revocation?: SubjectRevocation) => User | StoreRefusal
  removeUser: (username: string, by: Actor, revocation?: SubjectRevocation) => 'removed' | StoreRefusal
  userCredentials: (username: string) => { readonly user: User; readonly passwordHash: string } | 'unknown'

  createOAuthClient: (oauthClient: NewOAuthClient, by: Actor) => CreatedOAuthClient | StoreRefusal
  getOAuthClient: (clientId: string) => OAuthClient | 'unknown'
  listOAuthClients: (request: PageRequest) => Page<OAuthClient> | Invalid
  updateOAuthClient: (
    clientId: string,
    change: OAuthClientChange,
    by: Actor,
    revocation?: SubjectRevocation,
  ) => CreatedOAuthClient | StoreRefusal
  removeOAuthClient: (clientId: string, by: Actor, revocation?: SubjectRevocation) => 'removed' | 'unknown'
  /** `secretHash` is the client secret's `sha256Hex`; undefined for a public client. */
  oauthClientCredentials: (
    clientId: string,
  ) => { readonly oauthClient: OAuthClient; readonly secretHash: string | undefined } | 'unknown'

  /** The only result that holds the key itself. */
  createApiKey: (key: NewApiKey, by: Actor) => { readonly key: string; readonly apiKey: ApiKey } | StoreRefusal
  /** By `sha256Hex(key)`. */
  findApiKey: (hash: string) => ApiKey | 'unknown' | 'expired' | 'revoked'
  listApiKeys: (request: PageRequest & { readonly owner?: string }) => Page<ApiKey> | Invalid
  /** Also adds the key's id to the revocation feed. */
  revokeApiKey: (id: string, by: Actor) => ApiKey | StoreRefusal

  /** `unknown` when the user or OAuth client does not exist or is disabled, or the password was changed. */
  startSession: (session: NewSession) => IssuedRefreshToken | 'unknown'
  /** `reused`: the token was used before, and its session is ended. `unknown` also when the token belongs to another OAuth client. */
  rotateRefreshToken: (
    token: string,
    clientId: string,
    idleMs: number,
  ) => IssuedRefreshToken | 'reused' | 'unknown' | 'expired'
  /** The session of a live refresh token whose user and OAuth client are enabled. Changes nothing. */
  findSession: (token: string) => Session | 'unknown'
  /**
   * Ends the session of a live or used refresh token of that OAuth client (RFC 7009). `full`: the session is ended, but the revocation feed
   * has no room for it, so its access tokens stay valid.
   */
  revokeRefreshToken: (token: string, clientId: string) => 'revoked' | 'unknown' | 'full'
  listSessions: (request: PageRequest & { readonly owner?: string }) => Page<Session> | Invalid
  revokeSession: (id: string, by: Actor) => 'revoked' | 'unknown'

  revoke: (target: RevocationTarget, until: number, by: Revoker) => 'revoked' | StoreRefusal
  /** Whether a token of the gateway is revoked by its id, its session or its subject. */
  isTokenRevoked: (token: RevocableToken) => boolean
  /** The entries after `cursor`; `''` starts at the first. */
  revocationsSince: (cursor: string) => RevocationUpdate
  listRevocations: (request: PageRequest) => Page<Revocation> | Invalid

  /** Creates the first key, and the next one when it is due. Concurrent callers get the same keys. */
  signingKeys: (rotateAfterMs?: number) => SigningKeys
  /** For a leaked key: a new key signs at once, all others and their tokens are void. Isolates see it at their next call of `signingKeys`. */
  replaceSigningKeys: (by: Actor) => 'replaced'

  /** Adds an audit entry for a change that an operator made outside this store, such as to a breaker. */
  recordChange: (act: string, on: string, details: AuditEntry['details'], by: Actor) => 'recorded' | Invalid
  /** Sets how long entries of the audit log are kept. Entries are deleted once an hour. */
  setAuditRetention: (retention: AuditRetention) => 'set' | Invalid
  /** Newest first. */
  auditLog: (request: PageRequest) => Page<AuditEntry> | Invalid
}

/** `IdentityApi` over RPC: each call takes a second at most, and resolves to `unavailable` instead of rejecting. */
export type IdentityClient = {
  readonly [Name in keyof IdentityApi]: (
    ...args: Parameters<IdentityApi[Name]>
  ) => Promise<ReturnType<IdentityApi[Name]> | 'unavailable'>
}

/** The names that a remote caller may execute. */
export const OPERATIONS = {
  createUser: true,
  createFirstUser: true,
  getUser: true,
  listUsers: true,
  updateUser: true,
  removeUser: true,
  userCredentials: true,
  createOAuthClient: true,
  getOAuthClient: true,
  listOAuthClients: true,
  updateOAuthClient: true,
  removeOAuthClient: true,
  oauthClientCredentials: true,
  createApiKey: true,
  findApiKey: true,
  listApiKeys: true,
  revokeApiKey: true,
  startSession: true,
  rotateRefreshToken: true,
  findSession: true,
  revokeRefreshToken: true,
  listSessions: true,
  revokeSession: true,
  revoke: true,
  isTokenRevoked: true,
  revocationsSince: true,
  listRevocations: true,
  signingKeys: true,
  replaceSigningKeys: true,
  recordChange: true,
  setAuditRetention: true,
  auditLog: true,
} as const satisfies Readonly<Record<keyof IdentityApi, true>>

/** The login guard's decision on one login. */
export interface LoginDecision {
  /** False for a wrong password, and for any password while the pair of username and network is locked. */
  readonly allowed: boolean
  /** How long the response must be delayed, in milliseconds, whether or not the login is allowed. */
  readonly delayMs: number
}

/** The remote calls of the Durable Object `IdentityStore`: one method for all operations, so that each runs in one transaction. */
export interface IdentityStoreApi {
  execute(name: keyof IdentityApi, args: readonly unknown[]): Promise<unknown>
}

/** The remote calls of the Durable Object `LoginGuard`; `user` and `pair` are hashes. */
export interface LoginGuardApi {
  decide(user: string, pair: string, passwordMatches: boolean): Promise<LoginDecision | undefined>
}
