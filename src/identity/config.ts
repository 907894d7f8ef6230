import * as z from 'zod/mini'
import { MAX_ACCESS_TOKEN_MS } from './bounds.ts'
import { GRANTS } from './types.ts'
import { choice, distinct, doc, duration } from '../config/schema/scalars.ts'

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
