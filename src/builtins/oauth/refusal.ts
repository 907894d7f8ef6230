import { problem, PROBLEMS, type ProblemCode } from '../../core/problem.ts'
import { Hono } from 'hono'
import type { Exchange } from '../../core/exchange.ts'
import type { Handler } from '../../core/pipeline.ts'

/** What RFC 6749 §5.2 calls each refusal; clients know no other names. */
const ERRORS = {
  'form-invalid': 'invalid_request',
  'body-too-large': 'invalid_request',
  'media-type-unsupported': 'invalid_request',
  'client-invalid': 'invalid_client',
  'login-failed': 'invalid_grant',
  'inactive-user': 'invalid_grant',
  'grant-invalid': 'invalid_grant',
  'grant-unsupported': 'unsupported_grant_type',
  'grant-not-allowed': 'unauthorized_client',
  'scope-invalid': 'invalid_scope',
  'login-busy': 'temporarily_unavailable',
  'state-unavailable': 'temporarily_unavailable',
} as const satisfies Partial<Record<ProblemCode, string>>

type Refusal = keyof typeof ERRORS

/**
 * A refusal of an OAuth endpoint: a problem's members beside `error` and `error_description` (RFC 6749 §5.2), as `application/json`. `detail` may have no
 * quote, no backslash, and nothing that is not ASCII; without it the problem's title stands there.
 */
export function refuseOAuth(
  code: Refusal,
  detail: string = PROBLEMS[code][1],
  headers: Record<string, string> = {},
): Response {
  return problem(code, {
    detail,
    members: { error: ERRORS[code], error_description: detail },
    headers: {
      'content-type': 'application/json',
      ...(PROBLEMS[code][0] === 503 && { 'retry-after': '1' }),
      ...headers,
    },
  })
}

/** Compiles an endpoint that takes one method, at whatever path its route has; GET answers HEAD too. */
export function compileEndpoint(method: 'GET' | 'POST', answer: (x: Exchange) => Promise<Response>): Handler {
  const app = new Hono<{ Bindings: { readonly x: Exchange } }>()
  app.on(method, '*', (c) => answer(c.env.x))
  app.all('*', () => problem('method-not-allowed', { headers: { allow: method === 'GET' ? 'GET, HEAD' : method } }))
  // Hono would answer a text of its own; the gateway reports what throws, and answers a problem.
  app.onError((error) => {
    throw error
  })
  return async (x) => app.fetch(x.request, { x })
}
