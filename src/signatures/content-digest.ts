import { serializeDictionary } from 'structured-headers'
import type { Exchange } from '../core/exchange.ts'
import type { ProblemCode } from '../core/problem.ts'
import { readRequestBytes, type BodyFailure } from '../lib/body.ts'
import { parseStrictDictionary } from './structured-field.ts'

/** The algorithms of RFC 9530 §5 that are still strong. */
const HASHES: Readonly<Record<string, string>> = { 'sha-256': 'SHA-256', 'sha-512': 'SHA-512' }

/** The `Content-Digest` of a body (RFC 9530 §2), by SHA-256. */
export async function contentDigest(body: Uint8Array): Promise<string> {
  return serializeDictionary({ 'sha-256': await crypto.subtle.digest('SHA-256', body) })
}

/**
 * Whether a `Content-Digest` is that of `body`: it has SHA-256 or SHA-512, and each of those that it has is right. Algorithms that
 * are unknown or no longer strong are ignored (RFC 9530 §2).
 */
export async function matchesContentDigest(field: string, body: Uint8Array): Promise<boolean> {
  const digests = [...(parseStrictDictionary(field) ?? [])].filter(([name]) => Object.hasOwn(HASHES, name))
  for (const [name, [claimed]] of digests) {
    const digest = await crypto.subtle.digest(HASHES[name]!, body)
    if (!(claimed instanceof ArrayBuffer) || !areEqual(digest, claimed)) return false
  }
  return digests.length > 0
}

/** Compares in a time that does not depend on where the two differ. */
function areEqual(a: ArrayBuffer, b: ArrayBuffer): boolean {
  return a.byteLength === b.byteLength && crypto.subtle.timingSafeEqual(a, b)
}

/**
 * The whole body that would be sent on, which stays there as bytes; empty where there is none. `body-too-large` as soon as it
 * passes `max` bytes, `body-timeout` when it is late, `client-gone` when it breaks off. Never rejects.
 */
export async function readBody(
  x: Exchange,
  max: number,
): Promise<Uint8Array<ArrayBuffer> | 'body-too-large' | 'body-timeout' | 'client-gone'> {
  const { body } = x.outgoing
  if (body instanceof ReadableStream && Number(x.request.headers.get('content-length') ?? 0) > max)
    return 'body-too-large'
  const bytes = await readRequestBytes(body, max)
  if (typeof bytes === 'string') return READ_PROBLEMS[bytes]
  if (body !== null) x.outgoing.body = bytes
  return bytes
}

const READ_PROBLEMS = {
  'too-large': 'body-too-large',
  timeout: 'body-timeout',
  aborted: 'client-gone',
} as const satisfies Readonly<Record<BodyFailure, ProblemCode>>
