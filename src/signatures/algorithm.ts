/** The algorithms of RFC 9421 §3.3. */
export const SIGNATURE_ALGORITHMS = [
  'hmac-sha256',
  'ed25519',
  'ecdsa-p256-sha256',
  'ecdsa-p384-sha384',
  'rsa-pss-sha512',
  'rsa-v1_5-sha256',
] as const

/** A name from the registry of RFC 9421 §6.2. */
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number]

interface Recipe {
  /** What WebCrypto imports a key with. */
  readonly key: { readonly name: string; readonly hash?: string; readonly namedCurve?: string }
  /** What WebCrypto signs and verifies with. */
  readonly use: { readonly name: string; readonly hash?: string; readonly saltLength?: number }
  /** The same algorithm in JOSE, whose rules for keys hold here too. */
  readonly jose: string
}

const RECIPES: Readonly<Record<SignatureAlgorithm, Recipe>> = {
  'hmac-sha256': { key: { name: 'HMAC', hash: 'SHA-256' }, use: { name: 'HMAC' }, jose: 'HS256' },
  ed25519: { key: { name: 'Ed25519' }, use: { name: 'Ed25519' }, jose: 'EdDSA' },
  'ecdsa-p256-sha256': {
    key: { name: 'ECDSA', namedCurve: 'P-256' },
    use: { name: 'ECDSA', hash: 'SHA-256' },
    jose: 'ES256',
  },
  'ecdsa-p384-sha384': {
    key: { name: 'ECDSA', namedCurve: 'P-384' },
    use: { name: 'ECDSA', hash: 'SHA-384' },
    jose: 'ES384',
  },
  'rsa-pss-sha512': {
    key: { name: 'RSA-PSS', hash: 'SHA-512' },
    use: { name: 'RSA-PSS', saltLength: 64 },
    jose: 'PS512',
  },
  'rsa-v1_5-sha256': {
    key: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
    use: { name: 'RSASSA-PKCS1-v1_5' },
    jose: 'RS256',
  },
}

/** What a key of this algorithm is imported with, for WebCrypto. */
export const keyRecipe = (alg: SignatureAlgorithm): Recipe['key'] => RECIPES[alg].key

/** The algorithm's name in JOSE. */
export const joseName = (alg: SignatureAlgorithm): string => RECIPES[alg].jose

const encoder = new TextEncoder()

/** Whether `signature` is the one of `base` (RFC 9421 §3.3); WebCrypto compares an HMAC in constant time. Never rejects. */
export async function verifyBase(
  alg: SignatureAlgorithm,
  key: CryptoKey,
  signature: Uint8Array<ArrayBuffer>,
  base: string,
): Promise<boolean> {
  try {
    return await crypto.subtle.verify(RECIPES[alg].use, key, signature, encoder.encode(base))
  } catch {
    return false
  }
}

/** The signature of `base`; ECDSA as `r || s` (RFC 9421 §3.3.4). */
export function signBase(alg: SignatureAlgorithm, key: CryptoKey, base: string): Promise<ArrayBuffer> {
  return crypto.subtle.sign(RECIPES[alg].use, key, encoder.encode(base))
}
