import type { Exchange, Identity } from '../core/exchange.ts'
import type { Platform } from '../core/platform.ts'
import type { ProblemCode } from '../core/problem.ts'
import { rawPath, rawSearch } from '../lib/canonical-path.ts'
import { importMaterial, isLongEnough, verifyBase } from '../signatures/algorithm.ts'
import type { Message } from '../signatures/component.ts'
import { matchesContentDigest, readBody } from '../signatures/content-digest.ts'
import { normalAuthority, signatureBase } from '../signatures/message.ts'
import { takeNonce } from '../signatures/nonces.ts'
import { findSignature, type ClaimedSignature } from '../signatures/signature-input.ts'
import { authenticatedOnce, noRecall, type Authenticator } from './authenticator.ts'
import type { HttpSignatureProviderConfig, SignatureKeyConfig } from './config/http-signature.ts'

/**
 * A provider of signed requests (RFC 9421). The first signature whose key is configured decides. Cheap checks come first, the body after the
 * signature, and the nonce last: a client that cannot sign can use up neither memory nor nonces.
 */
export function makeHttpSignatureAuthenticator(
  name: string,
  config: HttpSignatureProviderConfig,
  platform: Platform,
): Authenticator {
  const keys = new Map(config.keys.map((key) => [key.keyid, makeKey(name, key, platform)]))
  const verifySignature = compileVerifySignature(name, config, platform)
  return {
    name,
    configured: [...keys.values()].some(({ configured }) => configured),
    challenge: 'Signature realm="api"',
    missing: 'signature-missing',
    discloses: config.discloseRequirements,
    hides: undefined,
    recall: noRecall,
    async authenticate(x) {
      const { headers } = x.request
      const [input, signature] = [headers.get('signature-input'), headers.get('signature')]
      if (input === null && signature === null) return undefined
      const claim = findSignature(input ?? '', signature ?? '', (keyid) => keys.has(keyid))
      if (claim === 'malformed') return 'signature-malformed'
      if (claim === 'unknown') return 'signature-key-unknown'
      const result = await verifySignature(x, claim, keys.get(claim.keyid)!)
      return typeof result === 'string' ? result : authenticatedOnce(result)
    },
  }
}

/** Verifies one signature with its key: the identity of the key, or the code of the refusal. */
function compileVerifySignature(
  provider: string,
  config: HttpSignatureProviderConfig,
  platform: Platform,
): (x: Exchange, claim: ClaimedSignature, key: Key) => Promise<Identity | ProblemCode> {
  const useNonce = async ({ keyid, nonce, created, expires }: ClaimedSignature): Promise<ProblemCode | undefined> => {
    if (nonce === undefined) return undefined
    const end = Math.min(created! * 1000 + config.maxAge, (expires ?? Infinity) * 1000) + config.clockSkew
    const ttlMs = Math.max(0, end - platform.now())
    const verdict = await takeNonce(platform.nonceStores, { provider, keyid, nonce }, ttlMs)
    if (verdict === 'unavailable') return 'nonce-store-unavailable'
    return verdict === 'used' ? 'signature-replayed' : undefined
  }
  return async (x, claim, { config: { alg }, identity, load }) => {
    const refusal = checkClaim(claim, alg, config, hasBody(x)) ?? checkTime(claim, config, platform.now())
    if (refusal !== undefined) return refusal
    const base = signatureBase(claim.components, claim.parameters, messageOf(x))
    if (base === undefined) return 'signature-components'
    const key = await load()
    if (key === undefined) return 'not-configured'
    if (!(await verifyBase(alg, key, claim.signature, base))) return 'signature-invalid'
    return (await checkBody(x, claim, config.maxBody)) ?? (await useNonce(claim)) ?? identity
  }
}

interface Key {
  readonly config: SignatureKeyConfig
  readonly configured: boolean
  readonly identity: Identity
  /** Undefined when the key is missing, or unfit for its algorithm. */
  readonly load: () => Promise<CryptoKey | undefined>
}

function makeKey(provider: string, config: SignatureKeyConfig, platform: Platform): Key {
  const { keyid, scopes, roles } = config
  const material = materialOf(config, platform)
  let imported: CryptoKey | undefined
  return {
    config,
    configured: material !== undefined,
    identity: {
      provider,
      issuer: provider,
      subject: keyid,
      scopes,
      roles,
      claims: { iss: provider, sub: keyid, scope: scopes.join(' '), roles },
    },
    load: async () => (imported ??= material && (await importMaterial(config.alg, material))),
  }
}

function materialOf(config: SignatureKeyConfig, platform: Pick<Platform, 'secret'>) {
  if ('secret' in config) {
    const secret = platform.secret(config.secret)
    return isLongEnough(secret) ? { secret } : undefined
  }
  return config.jwk === undefined ? { publicKey: config.publicKey! } : { jwk: config.jwk }
}

/** Checks the parameters and the covered components of a signature against the provider's requirements. */
function checkClaim(
  { components, alg, nonce, created }: ClaimedSignature,
  pinned: string,
  config: HttpSignatureProviderConfig,
  withBody: boolean,
): ProblemCode | undefined {
  if (alg !== undefined && alg !== pinned) return 'signature-algorithm'
  const covered = new Set(components.map(({ id }) => id))
  const needed = config.components.filter((name) => withBody || name !== 'content-digest')
  if (!needed.every((name) => covered.has(`"${name}"`))) return 'signature-components'
  if (created === undefined || (config.requireNonce && nonce === undefined)) return 'signature-parameters'
  return undefined
}

/** Checks `created` and `expires` (RFC 9421 §2.3) at `now`, epoch milliseconds. */
function checkTime(
  { created, expires = Infinity }: ClaimedSignature,
  { maxAge, clockSkew }: HttpSignatureProviderConfig,
  now: number,
): ProblemCode | undefined {
  const made = created! * 1000
  if (made > now + clockSkew) return 'signature-not-yet-valid'
  return now - clockSkew >= Math.min(made + maxAge, expires * 1000) ? 'signature-expired' : undefined
}

/** Checks the body against Content-Digest, where the signature covers that field. */
async function checkBody(x: Exchange, { components }: ClaimedSignature, max: number): Promise<ProblemCode | undefined> {
  if (!components.some(({ name }) => name === 'content-digest')) return undefined
  const body = await readBody(x, max)
  if (typeof body === 'string') return body
  const field = x.request.headers.get('content-digest')!
  return (await matchesContentDigest(field, body)) ? undefined : 'digest-mismatch'
}

const hasBody = ({ outgoing, request }: Exchange): boolean =>
  outgoing.body !== null && request.headers.get('content-length') !== '0'

/** The request as its client sent it: with the path before it was made canonical, and with the scheme and host that `clientAddress` determines. */
function messageOf({ request, client: { scheme, host } }: Exchange): Message {
  const { method, url, headers } = request
  return {
    method,
    scheme,
    authority: normalAuthority(host, scheme),
    path: rawPath(url),
    search: rawSearch(url),
    field: (name) => headers.get(name) ?? undefined,
  }
}
