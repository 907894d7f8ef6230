import * as z from 'zod/mini'
import { issuersOf } from '../../auth/issuers.ts'
import { expectedOneOf } from '../../config/schema/diagnostic.ts'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import type { IdentityClient } from '../../identity/api.ts'
import type { Revocation, RevocationTarget } from '../../identity/types.ts'
import { readChange } from './change.ts'
import { actorOf, jsonResponse, makeListHandler, pageQuery, resultOrProblem, type AdminEndpoint } from './endpoint.ts'
import { formatTime, text, timeAfter } from './fields.ts'

const TARGET_EXPECTED = 'expected "jti", or "issuer" and "subject", or "sid"'

/** The endpoints of revocations: of one token, of all tokens of a subject, or of all tokens of one session. */
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
        GET: makeListHandler('revocations', pageQuery, (request) => identity.listRevocations(request), revocationBody),
        POST: async ({ x }) => {
          const read = await readChange(x, newRevocation)
          if (read instanceof Response) return read
          const { until, ...fields } = read.value
          const target = targetOf(fields, issuers)
          if (typeof target === 'string') return problem('admin-invalid', { detail: target })
          const revoked = resultOrProblem(await identity.revoke(target, until, actorOf(x)), 'revocation')
          return revoked instanceof Response ? revoked : jsonResponse({ ...target, until: formatTime(until) }, 201)
        },
      },
    },
  ]
}

interface TargetFields {
  readonly jti?: string | undefined
  readonly issuer?: string | undefined
  readonly subject?: string | undefined
  readonly sid?: string | undefined
}

/** The target, or a text that says what is wrong. An issuer that no provider trusts is mistyped: it has no tokens to revoke. */
function targetOf({ jti, issuer, subject, sid }: TargetFields, issuers: readonly string[]): RevocationTarget | string {
  const kinds = [jti, sid, issuer ?? subject].filter((value) => value !== undefined)
  if (kinds.length !== 1) return `$: ${TARGET_EXPECTED}`
  if (jti !== undefined) return { jti }
  if (sid !== undefined) return { sid }
  if (issuer === undefined || subject === undefined)
    return `${issuer === undefined ? 'issuer' : 'subject'}: ${TARGET_EXPECTED}`
  return issuers.includes(issuer) ? { issuer, subject } : `issuer: ${expectedOneOf(issuer, issuers)}`
}

function revocationBody({ target, at, until }: Revocation): object {
  return { ...target, at: formatTime(at), until: formatTime(until) }
}
