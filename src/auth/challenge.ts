import type { Exchange } from '../core/exchange.ts'
import { problem, PROBLEMS, type ProblemCode } from '../core/problem.ts'

/** When a caller may ask again where a dependency is down, in seconds: the gateway itself does so then. */
const RETRY_SECONDS = '2'

/** What a route asks for, and the scopes that the caller has of it. */
export interface Requirements {
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  readonly held: readonly string[]
}

/**
 * A refusal of the policy `auth`. A 401 or 400 carries `challenges`, one for each kind of credential that the route takes (RFC 9110 §11.6.1);
 * that of bearer tokens says `invalid_token` where one came (RFC 6750 §3).
 */
export function refuse(code: ProblemCode, challenges: readonly string[]): Response {
  const [status, title] = PROBLEMS[code]
  if (status === 503)
    return problem(code, code === 'not-configured' ? {} : { headers: { 'retry-after': RETRY_SECONDS } })
  const error = errorOf(code)
  const fault = error === undefined ? '' : `, error="${error}", error_description="${title}"`
  const said = challenges.map((challenge) => (challenge === BEARER_CHALLENGE ? challenge + fault : challenge))
  return problem(code, { headers: { 'www-authenticate': said.join(', ') } })
}

/** RFC 6750 §3.1: a token that is not good, be it malformed, is a 401; a request that could be read in two ways a 400. */
function errorOf(code: ProblemCode): string | undefined {
  if (code === 'bearer-malformed') return 'invalid_request'
  return code.startsWith('token-') && code !== 'token-missing' ? 'invalid_token' : undefined
}

/**
 * A refusal of a caller who is known and may not: with `insufficient_scope` (RFC 6750 §3.1) where he came with a bearer token. What he
 * lacks is named where `disclosed` holds it: the missing scopes, or the roles of which he needs one; in the challenge all scopes.
 */
export function forbid(code: ProblemCode, challenge: string, disclosed: Requirements | undefined): Response {
  const members = disclosed && missingOf(code, disclosed)
  const named = disclosed?.scopes.length ? `, scope="${disclosed.scopes.join(' ')}"` : ''
  const said = `${challenge}, error="insufficient_scope"${named}`
  return problem(code, {
    ...(members && { members }),
    ...(challenge === BEARER_CHALLENGE && { headers: { 'www-authenticate': said } }),
  })
}

function missingOf(code: ProblemCode, { scopes, roles, held }: Requirements): Readonly<Record<string, unknown>> {
  if (code === 'scope-missing') return { missingScopes: scopes.filter((scope) => !held.includes(scope)) }
  return code === 'role-missing' ? { oneOfRoles: roles } : {}
}

/** The challenge of providers that read a bearer token (RFC 6750 §3). */
export const BEARER_CHALLENGE = 'Bearer realm="api"'

/** `b64token` (RFC 6750 §2.1): whatever else follows the scheme, two fields joined by a comma too, is a malformed request. */
export const isBearerToken = (text: string): boolean => /^[\w.~+/-]+=*$/.test(text)

/** What follows `Bearer ` (in any case, RFC 9110 §11.1) in `Authorization`; undefined when there is no such credential. */
export function bearerToken({ headers }: Pick<Exchange, 'headers'>): string | undefined {
  const header = headers['authorization']
  return header === undefined ? undefined : /^bearer +([^]+)$/i.exec(header)?.[1]
}
