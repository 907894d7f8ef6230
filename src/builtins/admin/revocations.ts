import * as z from 'zod/mini'
import { issuersOf } from '../../auth/config/auth-provider.ts'
import { expectedOneOf } from '../../config/schema/diagnostic.ts'
import type { Revocation, RevocationTarget } from '../../identity/types.ts'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import { readChange } from './change.ts'
import { jsonResponse, type AdminEndpoint, actorOf, resultOrProblem, pageQuery, readQuery, pageBody } from './endpoint.ts'
import { formatTime, text, timeAfter } from './fields.ts'
import type { IdentityClient } from '../../identity/api.ts'

const WHICH = 'expected "jti", or "issuer" and "subject", or "sid"'

/** Tokens that are refused although they have not expired: one, all of a subject, or all of one login. */
export function makeRevocationEndpoints(platform: Platform, identity: IdentityClient): AdminEndpoint[] {
  const issuers = issuersOf(platform.authProviders, platform.variable)
  const newRevocation = z.strictObject({
    jti: z.optional(text),
    issuer: z.optional(text),
    subject: z.optional(text),
    sid: z.optional(text),
    until: timeAfter(platform.now),
  })
  return [
    {
      path: 'revocations',
      handlers: {
        GET: async ({ query }) => {
          const ask = readQuery(query, pageQuery)
          if (ask instanceof Response) return ask
          const page = resultOrProblem(await identity.listRevocations(ask), 'revocation')
          return page instanceof Response ? page : pageBody('revocations', page, shownRevocation)
        },
        POST: async ({ x }) => {
          const read = await readChange(x, newRevocation)
          if (read instanceof Response) return read
          const { until, ...named } = read.change
          const target = targetOf(named, issuers)
          if (typeof target === 'string') return problem('admin-invalid', { detail: target })
          const done = resultOrProblem(await identity.revoke(target, until, actorOf(x)), 'revocation')
          return done instanceof Response ? done : jsonResponse({ ...target, until: formatTime(until) }, 201)
        },
      },
    },
  ]
}

interface Named {
  readonly jti?: string | undefined
  readonly issuer?: string | undefined
  readonly subject?: string | undefined
  readonly sid?: string | undefined
}

/** A text says what is wrong. An issuer that no provider believes has no tokens to revoke: its name was mistyped. */
function targetOf({ jti, issuer, subject, sid }: Named, issuers: readonly string[]): RevocationTarget | string {
  const ways = [jti, sid, issuer ?? subject].filter((way) => way !== undefined)
  if (ways.length !== 1) return `$: ${WHICH}`
  if (jti !== undefined) return { jti }
  if (sid !== undefined) return { sid }
  if (issuer === undefined || subject === undefined) return `${issuer === undefined ? 'issuer' : 'subject'}: ${WHICH}`
  return issuers.includes(issuer) ? { issuer, subject } : `issuer: ${expectedOneOf(issuer, issuers)}`
}

function shownRevocation({ target, at, until }: Revocation): object {
  return { ...target, at: formatTime(at), until: formatTime(until) }
}
