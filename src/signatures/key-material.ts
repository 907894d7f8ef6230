import { isFitKey, type PublishedJwk } from '../lib/key-strength.ts'
import { joseName, keyRecipe, type SignatureAlgorithm } from './algorithm.ts'

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
