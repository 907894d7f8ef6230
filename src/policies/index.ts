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

const ordered = [
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
] as const satisfies readonly Policy[]

/** The order in which policies run, outermost first. It is fixed: no file can put a cache outside `auth`. */
export const policies: readonly Policy[] = ordered

type Ordered = (typeof ordered)[number]

/** The schemas of all policies, by name. */
export type PolicySchemas = { readonly [Name in Ordered['name']]: Extract<Ordered, { readonly name: Name }>['config'] }

/** Policies of the contract that are not built yet: refused, never ignored. */
export const laterPolicies = ['validate', 'idempotency', 'transform'] as const
