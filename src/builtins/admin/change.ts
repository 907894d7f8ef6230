import * as z from 'zod/mini'
import { diagnosticText } from '../../config/schema/diagnostic.ts'
import { diagnosticsOf, explainIssue } from '../../config/explain.ts'
import type { Exchange } from '../../core/exchange.ts'
import { problem } from '../../core/problem.ts'
import { ownIssuersOf } from '../../auth/config/auth-provider.ts'
import { MAX_ACCESS_TOKEN_MS, MAX_SKEW_MS } from '../../identity/config.ts'
import type { Actor, SubjectRevocation } from '../../identity/types.ts'
import type { Platform } from '../../core/platform.ts'
import type { IdentityClient } from '../../identity/api.ts'

/** A change is a line of JSON; what is larger is something else. */
const MAX_BYTES = 4_096

/** The change that a request's JSON body asks for, or the refusal: 415, 413, or 400 with what was expected and where. */
export async function readChange<Schema extends z.ZodMiniType>(
  x: Exchange,
  schema: Schema,
): Promise<{ readonly change: z.output<Schema> } | Response> {
  // Also what keeps other sites out: a browser sends this type across origins only after a preflight, which `cors` answers.
  if (!/^application\/json *(?:;|$)/i.test(x.request.headers.get('content-type') ?? ''))
    return problem('media-type-unsupported', { detail: 'expected content-type: application/json' })
  const text = await readText(x.outgoing.body)
  if (text === undefined) return problem('body-too-large', { detail: `a change has at most ${MAX_BYTES} bytes` })
  return parseInput(parseJson(text), schema)
}

/** `value` as the schema reads it, or a 400 that names each field that is wrong and what was expected there. */
export function parseInput<Schema extends z.ZodMiniType>(
  value: unknown,
  schema: Schema,
): { readonly change: z.output<Schema> } | Response {
  const parsed = z.safeParse(schema, value, { error: explainIssue, reportInput: true })
  if (parsed.success) return { change: parsed.data }
  return problem('admin-invalid', { detail: diagnosticsOf(parsed.error.issues).map(diagnosticText).join('\n') })
}

/** Undefined for more than MAX_BYTES; nothing of a body that breaks off, for what there is of it is not what was meant. */
async function readText(body: Exchange['outgoing']['body']): Promise<string | undefined> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  try {
    for await (const chunk of body instanceof Uint8Array ? [body] : (body ?? [])) {
      bytes += chunk.length
      if (bytes > MAX_BYTES) return undefined
      text += decoder.decode(chunk, { stream: true })
    }
  } catch {
    return ''
  }
  return text + decoder.decode()
}

/** Undefined for text that is no JSON: the schema then says what it expected. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Which tokens end with an account's rights: those that the gateway has issued itself and that may still live. */
export type MakeCutoff = () => SubjectRevocation

/** Each cutoff reaches from its call on for the longest life of an access token and the largest clock skew; without an own issuer it names none. */
export function makeSubjectRevocation({ authProviders, now }: Pick<Platform, 'authProviders' | 'now'>): MakeCutoff {
  const issuers = ownIssuersOf(authProviders).map(({ config }) => config.issuer)
  return () => ({ issuers, until: now() + MAX_ACCESS_TOKEN_MS + MAX_SKEW_MS })
}

/** Revokes every token that `subject` has got so far. Answers the first that is no success, so that the caller can say so. */
export async function revokeTokensOf(identity: IdentityClient, subject: string, { issuers, until }: SubjectRevocation, by: Actor) {
  const answers = await Promise.all(issuers.map((issuer) => identity.revoke({ issuer, subject }, until, by)))
  return answers.find((answer) => answer !== 'revoked') ?? 'revoked'
}
