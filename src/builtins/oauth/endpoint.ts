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
export function oauthError(
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

/** The parameters of a request, by name; one that was sent without a value counts as left out (RFC 6749 §3.1). */
export type Form = ReadonlyMap<string, string>

/** Room for the longest token that is read at all, escaped, beside some parameters. */
const MAX_BYTES = 16_384

/** What a browser's FormData sends is taken too, as FastAPI does. */
const FORM_TYPE = /^(?:application\/x-www-form-urlencoded|multipart\/form-data) *(?:;|$)/i

/** The form in a request's body, or the refusal: 415, 413, or 400 for what is no form or has a parameter twice (RFC 6749 §3.2). The query is not looked at. */
export async function readForm(x: Exchange): Promise<Form | Response> {
  const type = x.request.headers.get('content-type') ?? ''
  if (!FORM_TYPE.test(type))
    return oauthError('media-type-unsupported', 'expected content-type: application/x-www-form-urlencoded')
  const bytes = await readBytes(x.outgoing.body)
  if (bytes === 'too-large') return oauthError('body-too-large', `a form has at most ${MAX_BYTES} bytes`)
  const parsed = bytes && (await parseForm(bytes, type))
  return parsed ?? oauthError('form-invalid', 'the body is not a form with text fields, each of them once')
}

/** Undefined for a body that breaks off. */
async function readBytes(
  body: Exchange['outgoing']['body'],
): Promise<Uint8Array<ArrayBuffer> | 'too-large' | undefined> {
  if (body instanceof Uint8Array) return body.length > MAX_BYTES ? 'too-large' : body
  const bytes = new Uint8Array(MAX_BYTES)
  let length = 0
  try {
    for await (const chunk of body ?? []) {
      if (length + chunk.length > MAX_BYTES) return 'too-large'
      bytes.set(chunk, length)
      length += chunk.length
    }
  } catch {
    return undefined
  }
  return bytes.subarray(0, length)
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
