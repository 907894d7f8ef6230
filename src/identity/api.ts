import type {
  Actor,
  Invalid,
  StoreRefusal,
  User,
  UserChange,
  NewUser,
  OAuthClient,
  OAuthClientChange,
  CreatedOAuthClient,
  ApiKey,
  Session,
  RevocationTarget,
  Revocation,
  RevocationUpdate,
  SigningKeys,
  AuditEntry,
  Page,
  PageRequest,
  Cutoff,
  Revoker,
  NewApiKey,
  NewOAuthClient,
  NewSession,
  RotatedSession,
} from './types.ts'

/** All that the identity store does. Each call is one transaction; what an operator changes is in the audit log in the same one. */
export interface IdentityApi {
  createUser: (user: NewUser, by: Actor) => User | StoreRefusal
  /** `exists` when there is any user at all, or ever was one. */
  createFirstUser: (user: NewUser, by: Actor) => User | StoreRefusal
  getUser: (username: string) => User | 'unknown'
  /** By username, in code-point order. */
  listUsers: (ask: PageRequest) => Page<User> | Invalid
  updateUser: (username: string, change: UserChange, by: Actor, cutoff?: Cutoff) => User | StoreRefusal
  removeUser: (username: string, by: Actor, cutoff?: Cutoff) => 'removed' | StoreRefusal
  userCredentials: (username: string) => { readonly user: User; readonly passwordHash: string } | 'unknown'

  createClient: (client: NewOAuthClient, by: Actor) => CreatedOAuthClient | StoreRefusal
  getClient: (clientId: string) => OAuthClient | 'unknown'
  listClients: (ask: PageRequest) => Page<OAuthClient> | Invalid
  updateClient: (clientId: string, change: OAuthClientChange, by: Actor) => CreatedOAuthClient | StoreRefusal
  removeClient: (clientId: string, by: Actor) => 'removed' | 'unknown'
  /** The hash of its secret as `sha256Hex` makes it; undefined for a public client. */
  clientCredentials: (
    clientId: string,
  ) => { readonly client: OAuthClient; readonly secretHash: string | undefined } | 'unknown'

  /** `key` is shown this once. */
  createApiKey: (key: NewApiKey, by: Actor) => { readonly key: string; readonly apiKey: ApiKey } | StoreRefusal
  /** By `sha256Hex(key)`. */
  findApiKey: (hash: string) => ApiKey | 'unknown' | 'expired' | 'revoked'
  listApiKeys: (ask: PageRequest & { readonly owner?: string }) => Page<ApiKey> | Invalid
  /** Also tells the revocation feed (`keyId`). */
  revokeApiKey: (id: string, by: Actor) => ApiKey | StoreRefusal

  /** `unknown`: there is no such user or client, it is disabled, or the user has another password by now. */
  startFamily: (family: NewSession) => RotatedSession | 'unknown'
  /** `reused`: the token was used before, and its family is dead now. `unknown` too when the token is another client's. */
  rotateRefresh: (token: string, clientId: string, idleMs: number) => RotatedSession | 'reused' | 'unknown' | 'expired'
  /** Changes nothing. Only the live token of a family is found, and only while its user and client may use it. */
  findRefresh: (token: string) => Session | 'unknown'
  /** For the client that has the token, live or used (RFC 7009). `full`: the family is dead, but the feed has no room to say so, and its access tokens live on. */
  revokeRefresh: (token: string, clientId: string) => 'revoked' | 'unknown' | 'full'
  listFamilies: (ask: PageRequest & { readonly owner?: string }) => Page<Session> | Invalid
  revokeFamily: (id: string, by: Actor) => 'revoked' | 'unknown'

  revoke: (target: RevocationTarget, until: number, by: Revoker) => 'revoked' | StoreRefusal
  /** `''` begins. */
  revocationsSince: (cursor: string) => RevocationUpdate
  listRevocations: (ask: PageRequest) => Page<Revocation> | Invalid

  /** Makes the first key, or the next, when it is time. Isolates that ask at once get the same. */
  signingKeys: (rotateAfterMs?: number) => SigningKeys
  /** For a key that leaked: a new one signs at once and the others are gone, with all their tokens; isolates know when they next ask. */
  replaceSigningKeys: (by: Actor) => 'replaced'

  /** An operator's act that changed something elsewhere, such as a breaker: only written down. */
  recordAct: (act: string, on: string, details: AuditEntry['details'], by: Actor) => 'recorded' | Invalid
  /** Newest first. */
  auditLog: (ask: PageRequest) => Page<AuditEntry> | Invalid
}

/** The same for Workers: each call takes a second at most, and answers `unavailable` instead of throwing. */
export type IdentityClient = {
  readonly [Name in keyof IdentityApi]: (
    ...args: Parameters<IdentityApi[Name]>
  ) => Promise<ReturnType<IdentityApi[Name]> | 'unavailable'>
}

/** What can be asked from outside. */
export const CALLS = {
  createUser: true,
  createFirstUser: true,
  getUser: true,
  listUsers: true,
  updateUser: true,
  removeUser: true,
  userCredentials: true,
  createClient: true,
  getClient: true,
  listClients: true,
  updateClient: true,
  removeClient: true,
  clientCredentials: true,
  createApiKey: true,
  findApiKey: true,
  listApiKeys: true,
  revokeApiKey: true,
  startFamily: true,
  rotateRefresh: true,
  findRefresh: true,
  revokeRefresh: true,
  listFamilies: true,
  revokeFamily: true,
  revoke: true,
  revocationsSince: true,
  listRevocations: true,
  signingKeys: true,
  replaceSigningKeys: true,
  recordAct: true,
  auditLog: true,
} as const satisfies Readonly<Record<keyof IdentityApi, true>>

/** What becomes of a login. */
export interface LoginVerdict {
  /** False for a wrong password, and for every password of a locked pair. */
  readonly passes: boolean
  /** How long the answer waits, in milliseconds, whatever it is. */
  readonly delayMs: number
}

/** The remote calls of the Durable Object `IdentityStore`: one method for all calls, so that each runs in one transaction. */
export interface IdentityStoreApi {
  ask(name: keyof IdentityApi, args: readonly unknown[]): Promise<unknown>
}

/** The remote calls of the Durable Object `LoginGuard`; `user` and `pair` are hashes. */
export interface LoginGuardApi {
  judge(user: string, pair: string, isRight: boolean): Promise<LoginVerdict | undefined>
}
