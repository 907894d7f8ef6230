import { isFitKey, type PublishedJwk } from '../lib/key-strength.ts'

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
  /** The algorithm for WebCrypto's import of a key. */
  readonly key: { readonly name: string; readonly hash?: string; readonly namedCurve?: string }
  /** The algorithm for WebCrypto's sign and verify. */
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

/** The algorithm with which WebCrypto imports a key. */
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

/** As long as the hash (RFC 2104 §3): a shorter secret is easier to guess than the signature. */
const MIN_SECRET_BYTES = 32

type Material =
  | { readonly secret: string }
  | { readonly jwk: PublishedJwk }
  /** A public key, SubjectPublicKeyInfo in PEM. */
  | { readonly publicKey: string }
  /** A private key, PKCS #8 in PEM. */
  | { readonly privateKey: string }

/** A key for WebCrypto; undefined when it is not one of this algorithm, or too weak (RFC 7518 §3). Never rejects. */
export async function importMaterial(alg: SignatureAlgorithm, material: Material): Promise<CryptoKey | undefined> {
  try {
    if ('secret' in material) return await importSecret(alg, material.secret)
    if ('privateKey' in material)
      return await importKey('pkcs8', decodePem('PRIVATE KEY', material.privateKey), alg, 'sign')
    if ('jwk' in material) return await importJwk(alg, material.jwk)
    const key = await importKey('spki', decodePem('PUBLIC KEY', material.publicKey), alg, 'verify')
    // The runtime's export has private members too, all undefined.
    const { kty, crv, x, y, n, e } = (await crypto.subtle.exportKey('jwk', key)) as JsonWebKey
    return await importJwk(alg, { kty, crv, x, y, n, e })
  } catch {
    return undefined
  }
}

/** Whether a secret is long enough for an HMAC. */
export const isLongEnough = (secret: string | undefined): secret is string =>
  secret !== undefined && new TextEncoder().encode(secret).length >= MIN_SECRET_BYTES

async function importSecret(alg: SignatureAlgorithm, secret: string): Promise<CryptoKey | undefined> {
  if (alg !== 'hmac-sha256' || !isLongEnough(secret)) return undefined
  return crypto.subtle.importKey('raw', new TextEncoder().encode(secret), keyRecipe(alg), false, ['sign', 'verify'])
}

async function importJwk(alg: SignatureAlgorithm, jwk: PublishedJwk): Promise<CryptoKey | undefined> {
  const { kty, crv, x, y, n, e } = jwk
  if (alg === 'hmac-sha256' || !isFitKey(jwk, joseName(alg))) return undefined
  return crypto.subtle.importKey('jwk', { kty, crv, x, y, n, e } as JsonWebKey, keyRecipe(alg), false, ['verify'])
}

function importKey(
  format: 'spki' | 'pkcs8',
  bytes: Uint8Array<ArrayBuffer>,
  alg: SignatureAlgorithm,
  usage: 'sign' | 'verify',
): Promise<CryptoKey> {
  return crypto.subtle.importKey(format, bytes, keyRecipe(alg), format === 'spki', [usage])
}

/** The bytes between PEM's lines (RFC 7468); a `\n` that some shell has left as two characters is a line end too. Throws. */
function decodePem(label: string, pem: string): Uint8Array<ArrayBuffer> {
  const inner = new RegExp(`-----BEGIN ${label}-----([^-]*)-----END ${label}-----`).exec(pem)?.[1]
  return Uint8Array.from(atob(inner!.replaceAll(/\\n|\s/g, '')), (character) => character.charCodeAt(0))
}
