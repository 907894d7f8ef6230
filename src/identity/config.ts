import * as z from 'zod/mini'
import { GRANTS } from './types.ts'
import { choice, distinct, doc, duration } from '../config/schema/scalars.ts'

/** No access token of the gateway may live longer: its key is gone then. Milliseconds. */
export const MAX_ACCESS_TOKEN_MS = 24 * 3_600_000

const YEAR_MS = 366 * 86_400_000

/** The schema of `tokens` in a provider with `"keys": "self"`: what the builtin `token` issues. */
export const tokensConfig = z.strictObject({
  grants: doc(
    z.prefault(z.array(choice(GRANTS)).check(z.minLength(1), distinct()), [...GRANTS]),
    'The grants that `builtin: token` takes: `password`, `client_credentials`, `refresh_token`. Default all three.',
  ),
  accessTtl: doc(
    z.prefault(duration(60_000, MAX_ACCESS_TOKEN_MS), '30m'),
    'How long an access token is good. Default 30m.',
  ),
  refreshTokens: doc(
    z.prefault(choice(['asked', 'always']), 'asked'),
    'Which logins get a refresh token: those that ask for the scope `offline_access`, or all. Default asked.',
  ),
  refreshTtl: doc(
    z.prefault(duration(60_000, YEAR_MS), '14d'),
    'How long a refresh token may lie unused. Default 14d.',
  ),
  sessionTtl: doc(
    z.prefault(duration(60_000, YEAR_MS), '90d'),
    'How long refresh tokens may follow each other before the password is asked for again. Default 90d.',
  ),
})

/** Checked `tokens`; durations in milliseconds. */
export type TokensConfig = z.output<typeof tokensConfig>

/** How much the identity store takes; beyond it, a change is refused with `full` or `invalid`. Lengths in characters. */
export const BOUNDS = {
  users: 100_000,
  clients: 10_000,
  apiKeys: 100_000,
  revocations: 100_000,
  /** The rest is for operators, so that a crowd that logs out cannot keep one from revoking. */
  revocationsByHolders: 90_000,
  /** At once, for one user; the oldest is killed when another starts. */
  familiesPerUser: 50,
  name: 128,
  text: 256,
  /** Scopes, and roles, of one user, client or key. */
  words: 64,
  /** Of a list that is asked for, of entries in one answer of the revocation feed. */
  page: 200,
  feed: 2_000,
} as const

/**
 * The most that a provider's `clockSkew` adds to a token's life. A revocation is in force for so much longer than it says, or a token that is revoked
 * until its `exp` would be good again after it. Milliseconds.
 */
export const MAX_SKEW_MS = 300_000

/** No isolate may believe what it remembers of an API key for longer: the feed has forgotten then. Milliseconds. */
export const MAX_KEY_MEMORY_MS = 3_600_000

/** No revocation is kept for longer, so no token that can be revoked should live for longer. Milliseconds. */
export const MAX_REVOCATION_MS = 366 * 24 * 3_600_000

/** How long a revoked or expired API key stays in lists. Milliseconds. */
export const DEAD_KEY_MS = 30 * 24 * 3_600_000
