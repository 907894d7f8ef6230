import type { Policy } from '../core/policy.ts'
import { auth } from './auth.ts'
import { bodyLimit } from './body-limit.ts'
import { bot } from './bot.ts'
import { cache } from './cache.ts'
import { cors } from './cors.ts'
import { geo } from './geo.ts'
import { headers } from './headers.ts'
import { ip } from './ip.ts'
import { mirror } from './mirror.ts'
import { rateLimit, rateLimitBeforeAuth } from './rate-limit.ts'
import { rewrite } from './rewrite.ts'
import { rules } from './rules.ts'
import { security } from './security.ts'
import { split } from './split.ts'

/** THE order in which policies run, outermost first. It is the project's and not the user's: nobody can put a cache outside `auth`. */
export const policies = [
  security,
  cors,
  rules,
  bodyLimit,
  ip,
  geo,
  bot,
  rateLimitBeforeAuth,
  auth,
  rateLimit,
  rewrite,
  headers,
  cache,
  split,
  mirror,
] as readonly Policy[]

/** Policies of the contract that are not built yet: refused, never ignored. */
export const laterPolicies = ['validate', 'idempotency', 'transform'] as const
