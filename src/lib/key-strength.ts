import { base64url } from 'jose'

/** A member of a JWKS (RFC 7517 §4) as its issuer published it, with unchecked fields. */
export type PublishedJwk = Readonly<Record<string, unknown>>

const MIN_RSA_BITS = 2048
/** The time of a verification grows with the square of the length: the bound limits what a hostile issuer can make the gateway spend. */
const MAX_RSA_BITS = 8192
const CURVES: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521', EdDSA: 'Ed25519' }

/**
 * Whether a published key may verify tokens signed with `alg`: a public key of the right type, meant for signatures,
 * and strong (RSA of 2048 to 8192 bits with e ≥ 65537, no ROCA). A symmetric key in a public document never may.
 */
export function isFitKey(jwk: PublishedJwk, alg: string): boolean {
  if ('d' in jwk || 'k' in jwk) return false
  if (jwk.alg !== undefined && jwk.alg !== alg && !(alg === 'EdDSA' && jwk.alg === 'Ed25519')) return false
  if (jwk.use !== undefined && jwk.use !== 'sig') return false
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) return false
  if (alg.startsWith('RS') || alg.startsWith('PS')) return jwk.kty === 'RSA' && isStrongRsa(jwk)
  return jwk.kty === (alg === 'EdDSA' ? 'OKP' : 'EC') && jwk.crv === CURVES[alg]
}

function isStrongRsa(jwk: PublishedJwk): boolean {
  const modulus = parseInteger(jwk.n)
  const exponent = parseInteger(jwk.e)
  if (modulus === undefined || exponent === undefined || exponent < 65537n) return false
  const bits = modulus.toString(2).length
  return bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS && !isRoca(modulus)
}

function parseInteger(text: unknown): bigint | undefined {
  if (typeof text !== 'string' || text.length > MAX_RSA_BITS || !/^[\w-]+$/.test(text)) return undefined
  const hex = Array.from(base64url.decode(text), (byte) => byte.toString(16).padStart(2, '0')).join('')
  return BigInt(`0x${hex}`)
}

/**
 * Whether the modulus has the fingerprint of CVE-2017-15361. Infineon’s chips made primes that are powers of 65537 modulo many small primes.
 * The modulus then is such a power too, and can be factored. Another key has the fingerprint with a probability of about 10⁻⁸.
 */
function isRoca(modulus: bigint): boolean {
  return SMALL_PRIMES.every((prime) => powersOf65537(prime).has(Number(modulus % BigInt(prime))))
}

const SMALL_PRIMES = Array.from({ length: 165 }, (_, index) => index + 3).filter(isPrime)

function isPrime(candidate: number): boolean {
  for (let divisor = 2; divisor * divisor <= candidate; divisor++) if (candidate % divisor === 0) return false
  return true
}

function powersOf65537(prime: number): Set<number> {
  const powers = new Set<number>()
  for (let power = 1; !powers.has(power); power = (power * 65537) % prime) powers.add(power)
  return powers
}
