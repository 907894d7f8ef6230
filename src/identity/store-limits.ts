import type { AuditRetention } from './api.ts'

/** The longest lifetime of an access token that the gateway issues, in milliseconds. A signing key is published this long after its last signature. */
export const MAX_ACCESS_TOKEN_MS = 24 * 3_600_000

/** The capacity of the identity store. A change beyond it is refused with `full` or `invalid`. Lengths are in characters. */
export const STORE_LIMITS = {
  users: 100_000,
  oauthClients: 10_000,
  apiKeys: 100_000,
  revocations: 100_000,
  /** The share of `revocations` for token holders. The rest is for operators, so that many logouts cannot keep an operator from revoking. */
  revocationsByHolders: 90_000,
  /** The oldest session of a user ends when one more starts. */
  sessionsPerUser: 50,
  nameLength: 128,
  textLength: 256,
  /** Of one user, OAuth client or API key: scopes, and also roles. */
  scopesOrRoles: 64,
  /** Rows in one page of a list. */
  pageRows: 200,
  /** Entries in one result of `revocationsSince`. */
  feedEntries: 2_000,
} as const

/**
 * The most that a provider's `clockSkew` adds to a token's lifetime, in milliseconds. A revocation is kept this much longer than its `until`;
 * otherwise a token revoked until its `exp` would be accepted again after it.
 */
export const MAX_SKEW_MS = 300_000

/** An isolate may cache an API key for this long at most, in milliseconds: its revocation is in the feed no longer. */
export const MAX_API_KEY_CACHE_MS = 3_600_000

/** The longest time for which a revocation is kept, in milliseconds. A token with a longer lifetime cannot be revoked for good. */
export const MAX_REVOCATION_MS = 366 * 24 * 3_600_000

/** The default of `auditRetention`. */
export const DEFAULT_AUDIT_RETENTION: AuditRetention = { maxAgeMs: 400 * 24 * 3_600_000, maxRows: 1_000_000 }

/** How long a revoked or expired API key stays in lists, in milliseconds. */
export const API_KEY_RETENTION_MS = 30 * 24 * 3_600_000
