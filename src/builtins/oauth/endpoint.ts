import { Hono } from 'hono/tiny'
import type { Exchange } from '../../core/exchange.ts'
import type { Handler } from '../../core/pipeline.ts'
import { problem, PROBLEMS, type ProblemCode } from '../../core/problem.ts'
import { readRequestBytes } from '../../lib/body.ts'

/** The `error` of each problem (RFC 6749 §5.2). */
const ERRORS = {
  'form-invalid': 'invalid_request',
  'body-too-large': 'invalid_request',
  'body-timeout': 'invalid_request',
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

type OAuthProblemCode = keyof typeof ERRORS

/**
 * The error response of an OAuth endpoint (RFC 6749 §5.2), as `application/json`: `error` and `error_description` beside the members of a
 * problem. `detail` must be ASCII without quotes and backslashes; the default is the problem's title.
 */
export function oauthError(
  code: OAuthProblemCode,
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

/** Compiles an endpoint that accepts one method on the whole path of its route; GET includes HEAD. */
export function compileEndpoint(method: 'GET' | 'POST', handle: Handler): Handler {
  const app = new Hono<{ Bindings: { readonly x: Exchange } }>()
  app.on(method, '*', (c) => handle(c.env.x))
  app.all('*', () => problem('method-not-allowed', { headers: { allow: method === 'GET' ? 'GET, HEAD' : method } }))
  // Without this Hono would respond with its own text; the gateway reports the error and responds with a problem.
  app.onError((error) => {
    throw error
  })
  return async (x) => app.fetch(x.request, { x })
}

/** The parameters of a request by name. One without a value counts as omitted (RFC 6749 §3.1). */
export type Form = ReadonlyMap<string, string>

/** Enough for the longest token that the gateway verifies, percent-encoded, and the other parameters. */
const MAX_BYTES = 16_384

/** Multipart, which a browser's FormData sends, is accepted too, as FastAPI does. */
const FORM_TYPE = /^(?:application\/x-www-form-urlencoded|multipart\/form-data) *(?:;|$)/i

/**
 * The form in a request's body, or the error response: 415, 413, 408, or 400 for a body that is not a form or has a parameter twice
 * (RFC 6749 §3.2). The query is ignored.
 */
export async function readForm(x: Exchange): Promise<Form | Response> {
  const type = x.request.headers.get('content-type') ?? ''
  if (!FORM_TYPE.test(type))
    return oauthError('media-type-unsupported', 'expected content-type: application/x-www-form-urlencoded')
  const bytes = await readRequestBytes(x.outgoing.body, MAX_BYTES)
  if (bytes === 'too-large') return oauthError('body-too-large', `a form has at most ${MAX_BYTES} bytes`)
  if (bytes === 'timeout') return oauthError('body-timeout')
  const form = typeof bytes === 'string' ? undefined : await parseForm(bytes, type)
  return form ?? oauthError('form-invalid', 'the body is not a form with text fields, each of them once')
}

async function parseForm(bytes: Uint8Array<ArrayBuffer>, type: string): Promise<Form | undefined> {
  try {
    const form = new Map<string, string>()
    const seen = new Set<string>()
    for (const [name, value] of await new Response(bytes, { headers: { 'content-type': type } }).formData()) {
      if (typeof value !== 'string' || seen.has(name)) return undefined
      seen.add(name)
      if (value !== '') form.set(name, value)
    }
    return form
  } catch {
    return undefined
  }
}
