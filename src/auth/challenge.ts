import type { Exchange } from '../core/exchange.ts'
import { problem, PROBLEMS, type ProblemCode } from '../core/problem.ts'

/** Retry-After while a dependency is down, in seconds: after this time the gateway calls it again. */
const RETRY_SECONDS = '2'

/** The requirements of a route, and the scopes of the caller. */
export interface Requirements {
  readonly scopes: readonly string[]
  readonly roles: readonly string[]
  readonly held: readonly string[]
}

/**
 * A refusal of the policy `auth`. A 401 or 400 has `challenges`, one for each kind of credential that the route accepts (RFC 9110 §11.6.1);
 * that of bearer tokens has `invalid_token` where the request had a token (RFC 6750 §3).
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

/** RFC 6750 §3.1: an invalid or malformed token is a 401, an ambiguous request a 400. */
function errorOf(code: ProblemCode): string | undefined {
  if (code === 'bearer-malformed') return 'invalid_request'
  return code.startsWith('token-') && code !== 'token-missing' ? 'invalid_token' : undefined
}

/**
 * A refusal of an authenticated caller: with `insufficient_scope` (RFC 6750 §3.1) for a bearer token. The missing scopes, or the roles of which
 * one is needed, are named where `disclosed` holds them; the challenge names all scopes.
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

/** The characters of a bearer token at most: as many as all headers of a request together may have. Issuers put hundreds of groups into one. */
export const MAX_BEARER_CHARS = 32 * 1024

/** `b64token` (RFC 6750 §2.1). Any other text after the scheme, also two fields joined by a comma, is a malformed request. */
export const isBearerToken = (text: string): boolean => /^[\w.~+/-]+=*$/.test(text)

/** The text after `Bearer ` (in any case, RFC 9110 §11.1) in `Authorization`; undefined when there is no such credential. */
export function bearerToken({ headers }: Pick<Exchange, 'headers'>): string | undefined {
  const header = headers['authorization']
  return header === undefined ? undefined : /^bearer +([^]+)$/i.exec(header)?.[1]
}
