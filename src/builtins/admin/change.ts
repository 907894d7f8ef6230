import * as z from 'zod/mini'
import { ownIssuersOf } from '../../auth/issuers.ts'
import { diagnosticsOf, explainIssue } from '../../config/explain.ts'
import { diagnosticText } from '../../config/schema/diagnostic.ts'
import type { Exchange } from '../../core/exchange.ts'
import type { Platform } from '../../core/platform.ts'
import { problem } from '../../core/problem.ts'
import { MAX_ACCESS_TOKEN_MS, MAX_SKEW_MS } from '../../identity/store-limits.ts'
import type { SubjectRevocation } from '../../identity/types.ts'
import { readRequestBytes } from '../../lib/body.ts'

/** A change is a short JSON object. */
const MAX_BYTES = 4_096

/** The change in a request's JSON body, or the error response: 415, 413, 408, or 400 that names each invalid field and what was expected there. */
export async function readChange<Schema extends z.ZodMiniType>(
  x: Exchange,
  schema: Schema,
): Promise<{ readonly value: z.output<Schema> } | Response> {
  // The content type also prevents cross-site requests: a browser sends it to another origin only after a preflight, to which `cors` responds.
  if (!/^application\/json *(?:;|$)/i.test(x.request.headers.get('content-type') ?? ''))
    return problem('media-type-unsupported', { detail: 'expected content-type: application/json' })
  const bytes = await readRequestBytes(x.outgoing.body, MAX_BYTES)
  if (bytes === 'too-large') return problem('body-too-large', { detail: `a change has at most ${MAX_BYTES} bytes` })
  if (bytes === 'timeout') return problem('body-timeout')
  return parseInput(typeof bytes === 'string' ? undefined : parseJson(new TextDecoder().decode(bytes)), schema)
}

/** `value` parsed by the schema, or a 400 response that names each invalid field and what was expected there. */
export function parseInput<Schema extends z.ZodMiniType>(
  value: unknown,
  schema: Schema,
): { readonly value: z.output<Schema> } | Response {
  const parsed = z.safeParse(schema, value, { error: explainIssue, reportInput: true })
  if (parsed.success) return { value: parsed.data }
  return problem('admin-invalid', { detail: diagnosticsOf(parsed.error.issues).map(diagnosticText).join('\n') })
}

/** Undefined for text that is not JSON; the schema then reports what it expected. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Makes the revocation of all tokens that the gateway has issued to a subject so far. It lasts from the call on for the longest lifetime of an
 * access token and the largest clock skew. It names no issuer where no provider has `"keys": "self"`.
 */
export function makeSubjectRevocation({
  authProviders,
  now,
}: Pick<Platform, 'authProviders' | 'now'>): () => SubjectRevocation {
  const issuers = ownIssuersOf(authProviders).map(({ config }) => config.issuer)
  return () => ({ issuers, until: now() + MAX_ACCESS_TOKEN_MS + MAX_SKEW_MS })
}
