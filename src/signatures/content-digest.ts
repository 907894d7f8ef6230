import { serializeDictionary } from 'structured-headers'
import type { Exchange } from '../core/exchange.ts'
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

/** How long a client may take to send a body that must be complete before the request can go on, in milliseconds. */
const BODY_TIMEOUT_MS = 30_000

/**
 * The whole body that would be sent on, which stays there as bytes; empty where there is none. `body-too-large` as soon as it
 * passes `max` bytes, `client-gone` when it breaks off or takes longer than 30 s. Never rejects.
 */
export async function readBody(
  x: Exchange,
  max: number,
): Promise<Uint8Array<ArrayBuffer> | 'body-too-large' | 'client-gone'> {
  const { body } = x.outgoing
  if (body === null) return new Uint8Array()
  if (body instanceof Uint8Array) return body.byteLength > max ? 'body-too-large' : body
  if (Number(x.request.headers.get('content-length') ?? 0) > max) return 'body-too-large'
  const bytes = await readStream(body, max)
  if (bytes instanceof Uint8Array) x.outgoing.body = bytes
  return bytes
}

async function readStream(body: ReadableStream<Uint8Array>, max: number) {
  const reader = body.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  let late = false
  const end = () => reader.cancel().catch(() => {})
  const timer = setTimeout(() => {
    late = true
    void end()
  }, BODY_TIMEOUT_MS)
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      length += chunk.value.byteLength
      if (length > max) {
        void end()
        return 'body-too-large'
      }
      chunks.push(chunk.value)
    }
  } catch {
    return 'client-gone'
  } finally {
    clearTimeout(timer)
  }
  return late ? 'client-gone' : join(chunks, length)
}

function join(chunks: readonly Uint8Array[], length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length)
  let filled = 0
  for (const chunk of chunks) {
    bytes.set(chunk, filled)
    filled += chunk.byteLength
  }
  return bytes
}
