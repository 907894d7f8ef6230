import { base64url, exportJWK, generateKeyPair, SignJWT, type JWK } from 'jose'
import { ISSUER } from './issuer.ts'
import { ROCA_KEY, SHORT_KEY } from './weak-keys.ts'

/** What it is, how it is refused, and how it is made. */
export type Attack = readonly [name: string, code: string, make: () => string | Promise<string>]

const rsa = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true })
const curve = await generateKeyPair('ES256', { extractable: true })
const edwards = await generateKeyPair('EdDSA', { extractable: true })
/** Whose key nobody publishes. */
export const attacker = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true })

/** The keys that are to be believed: of the provider `main` (RS256), and of `curve` and `edwards`, whose issuers have these names. */
export const jwk: JWK = { ...(await exportJWK(rsa.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }
export const curveJwk: JWK = { ...(await exportJWK(curve.publicKey)), kid: 'c1', alg: 'ES256' }
export const edwardsJwk: JWK = { ...(await exportJWK(edwards.publicKey)), kid: 'e1' }
export const publicKey = rsa.publicKey
export const privateKey = rsa.privateKey

const published = ({ kty, n, e }: JWK, kid: string): JWK => ({ kty: kty!, n: n!, e: e!, kid })
/** What the issuer publishes: also keys that it should not. */
export const PUBLISHED: readonly JWK[] = [
  jwk,
  curveJwk,
  edwardsJwk,
  published(ROCA_KEY, 'roca'),
  published(SHORT_KEY, 'short'),
  { kty: 'oct', k: base64url.encode('a secret that everybody can read!'), kid: 'oct' },
]

export const SECRET = 'the shared secret of the legacy provider, long enough'
export const now = Math.floor(Date.now() / 1000)
export const good = { scope: 'users:read', tenant: 'acme' }
export const claims = { iss: ISSUER, aud: 'api', sub: 'ada', exp: now + 600, ...good }
export const HEADER = { alg: 'RS256', kid: 'k1', typ: 'JWT' }

const bytesOf = (text: string) => new TextEncoder().encode(text)
/** A part of a token, from a value or from a text that is taken as it is. */
export const encode = (value: unknown) => base64url.encode(typeof value === 'string' ? value : JSON.stringify(value))

/** Signs any texts whatever as header and payload: as an attacker with `by` would, or an issuer with a bug. */
export function raw(header: unknown, payload: unknown = claims, by = rsa.privateKey): Promise<string> {
  return signed(header, payload, 'RSASSA-PKCS1-v1_5', by)
}

async function signed(header: unknown, payload: unknown, how: SubtleCryptoSignAlgorithm | string, by: CryptoKey) {
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${base64url.encode(new Uint8Array(await crypto.subtle.sign(how, by, bytesOf(input))))}`
}

/** A token with one more member of JSON text, for what no value of JavaScript becomes; `without` is the claim that it replaces. */
export const payloadWith = (member: string, without = '') =>
  raw(HEADER, JSON.stringify({ ...claims, [without]: undefined }).replace(/\}$/, `,${member}}`))

/** A good token with claims replaced; `undefined` takes one away. */
export const claiming = (changed: Record<string, unknown>) => raw(HEADER, { ...claims, ...changed })

/** Signed with one of the issuer's keys that are too weak. */
export async function weakly(key: JsonWebKey, kid: string): Promise<string> {
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }
  return raw({ ...HEADER, kid }, claims, await crypto.subtle.importKey('jwk', key, algorithm, false, ['sign']))
}

/** A token signed with HMAC, keyed with what everybody knows: the public key. */
export function confused(
  secret: string | Uint8Array,
  header: Record<string, unknown> = {},
  iss = ISSUER,
): Promise<string> {
  return new SignJWT({ ...claims, iss })
    .setProtectedHeader({ alg: 'HS256', kid: 'k1', typ: 'JWT', ...header })
    .sign(typeof secret === 'string' ? bytesOf(secret) : secret)
}

/** A good token of the elliptic curve's provider, its 64 bytes of signature replaced by what `change` makes of them. */
export function onCurve(change = (signature: Uint8Array) => signature, header: object = {}): Promise<string> {
  const ecdsa = { name: 'ECDSA', hash: 'SHA-256' }
  return resigned({ alg: 'ES256', kid: 'c1', ...header }, 'curve', ecdsa, curve.privateKey, change)
}

/** As `onCurve`, of the Edwards curve's provider. */
export function onEdwards(change = (signature: Uint8Array) => signature, header: object = {}): Promise<string> {
  return resigned({ alg: 'EdDSA', kid: 'e1', ...header }, 'edwards', 'Ed25519', edwards.privateKey, change)
}

async function resigned(
  header: object,
  iss: string,
  how: SubtleCryptoSignAlgorithm | string,
  by: CryptoKey,
  change: (signature: Uint8Array) => Uint8Array,
): Promise<string> {
  const [first, second, signature] = (await signed(header, { ...claims, iss }, how, by)).split('.')
  return `${first}.${second}.${base64url.encode(change(base64url.decode(signature!)))}`
}
