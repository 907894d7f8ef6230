import { problem, PROBLEMS, type ProblemCode } from '../problem.ts'

/** When a caller may ask again whose issuer is down: the gateway itself does then. */
const KEYS_RETRY_SECONDS = '2'

/**
 * A refusal with the `WWW-Authenticate` that RFC 6750 §3 asks for: without an error when no token came, `invalid_token`
 * for a bad one, `insufficient_scope` (naming the route's `scopes`) for a good one that is not enough.
 */
export function refuse(code: ProblemCode, scopes: readonly string[]): Response {
  if (code === 'keys-unavailable') return problem(code, { headers: { 'retry-after': KEYS_RETRY_SECONDS } })
  const challenge = bearerChallenge(code, scopes)
  return problem(code, challenge === undefined ? {} : { headers: { 'www-authenticate': challenge } })
}

function bearerChallenge(code: ProblemCode, scopes: readonly string[]): string | undefined {
  const realm = 'Bearer realm="api"'
  const [status, title] = PROBLEMS[code]
  if (code === 'token-missing') return realm
  if (status === 401) return `${realm}, error="invalid_token", error_description="${title}"`
  if (status !== 403) return undefined
  const needed = scopes.length > 0 ? `, scope="${scopes.join(' ')}"` : ''
  return `${realm}, error="insufficient_scope"${needed}`
}
