import { serializeDictionary } from 'structured-headers'
import { parseStrictDictionary } from './structured-field.ts'

/** The algorithms of RFC 9530 §5 that are still strong. */
const HASHES: Readonly<Record<string, string>> = { 'sha-256': 'SHA-256', 'sha-512': 'SHA-512' }

/** The `Content-Digest` of a body (RFC 9530 §2), by SHA-256. */
export async function contentDigest(body: Uint8Array): Promise<string> {
  return serializeDictionary({ 'sha-256': await crypto.subtle.digest('SHA-256', body) })
}

/**
 * Whether a `Content-Digest` is that of `body`: it has SHA-256 or SHA-512, and each of those that it has is right. Algorithms that
 * are not known, or no longer strong, prove nothing and are passed over (RFC 9530 §2).
 */
export async function matchesContentDigest(field: string, body: Uint8Array): Promise<boolean> {
  const digests = [...(parseStrictDictionary(field) ?? [])].filter(([name]) => Object.hasOwn(HASHES, name))
  for (const [name, [claimed]] of digests) {
    const digest = await crypto.subtle.digest(HASHES[name]!, body)
    if (!(claimed instanceof ArrayBuffer) || !areEqual(digest, claimed)) return false
  }
  return digests.length > 0
}

/** In a time that says nothing of where they differ. */
function areEqual(a: ArrayBuffer, b: ArrayBuffer): boolean {
  return a.byteLength === b.byteLength && crypto.subtle.timingSafeEqual(a, b)
}
