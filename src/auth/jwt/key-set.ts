import { importJWK, type CryptoKey, type JWK } from 'jose'
import type { Platform } from '../../core/platform.ts'
import { readText } from '../../lib/body.ts'
import { isFitKey, type PublishedJwk } from '../../lib/key-strength.ts'
import { reasonOf } from '../../telemetry/events.ts'
import type { VerificationKey } from './key-source.ts'

/** How long a key set may take from request to last byte. */
export const FETCH_TIMEOUT_MS = 2_000
const MAX_BYTES = 64 * 1024
const MAX_KEYS = 100

/**
 * Fetches an issuer’s key set (RFC 7517 §5) and imports the keys that fit `algorithms`; others are omitted, and so are repetitions.
 * The reason as text when it cannot be read whole: network, timeout, a redirect, too large, not a key set. Never rejects.
 * A key that is in `known` stays the same object.
 */
export async function loadKeySet(
  url: string,
  algorithms: readonly string[],
  known: readonly VerificationKey[],
  fetch: Platform['fetch'],
): Promise<VerificationKey[] | string> {
  try {
    const response = await fetch(url, {
      headers: { accept: 'application/json' },
      // A redirect that is followed would let the controller of any page of the issuer’s host choose the keys.
      redirect: 'manual',
      signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    })
    if (response.status !== 200) {
      await response.body?.cancel()
      return `status ${response.status}`
    }
    const jwks = parseKeySet(await readText(response, MAX_BYTES))
    return jwks === undefined ? 'not a key set' : await importKeys(jwks, algorithms, known)
  } catch (error) {
    return reasonOf(error)
  }
}

function parseKeySet(text: string): PublishedJwk[] | undefined {
  const document = JSON.parse(text) as { keys?: unknown } | null
  const keys = document?.keys
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) return undefined
  return keys.filter((key) => typeof key === 'object' && key !== null)
}

async function importKeys(
  jwks: readonly PublishedJwk[],
  algorithms: readonly string[],
  known: readonly VerificationKey[],
): Promise<VerificationKey[]> {
  const keys = await Promise.all(jwks.map((jwk) => importKey(jwk, algorithms, known)))
  // A key that stands twice is one key.
  const unique = new Map(keys.flatMap((key) => (key === undefined ? [] : [[key.material, key]])))
  return [...unique.values()]
}

async function importKey(
  jwk: PublishedJwk,
  algorithms: readonly string[],
  known: readonly VerificationKey[],
): Promise<VerificationKey | undefined> {
  try {
    const alg = algorithms.find((candidate) => isFitKey(jwk, candidate))
    const { kid, kty, crv, x, y, n, e } = jwk
    if (alg === undefined || (kid !== undefined && typeof kid !== 'string')) return undefined
    const material = JSON.stringify([alg, kid, crv, x, y, n, e])
    const same = known.find((key) => key.material === material)
    if (same) return same
    const imported = await importJWK({ kty, crv, x, y, n, e } as JWK, alg)
    return { alg, kid, key: imported as CryptoKey, material, retired: false }
  } catch {
    return undefined
  }
}
