import type { Identity } from '../../core/exchange.ts'
import type { Platform } from '../../core/platform.ts'
import type { ProblemCode } from '../../core/problem.ts'
import { compileClaimPath } from '../../core/request-attribute.ts'
import type { Authenticator } from '../authenticator.ts'
import { BEARER_CHALLENGE, bearerToken, isBearerToken, MAX_BEARER_CHARS } from '../challenge.ts'
import type { JwtProviderConfig } from '../config/jwt.ts'
import { makeTokenCache, type TokenCache } from '../token-cache.ts'
import { claimNames, claimTexts, parseCompactJws, type CompactJws } from './compact-jws.ts'
import { makeJwks, makeOwnIssuerKeys } from './jwks.ts'
import { makeSecretKey, type KeySource, type WaitUntil } from './key-source.ts'
import { compileVerification, type VerifiedClaims, type VerifiedToken } from './verify.ts'

const MAX_ENTRIES = 4096
const MAX_BYTES = 8 * 1024 * 1024

/** A provider of type `jwt`: bearer tokens (RFC 6750) that are JWTs of its issuer. Verified tokens are cached. */
export function makeJwtAuthenticator(name: string, config: JwtProviderConfig, platform: Platform): Authenticator {
  const keys = makeKeys(config, platform)
  // The bounds hold for the isolate, so providers share them.
  const share = Object.keys(platform.authProviders).length
  const cache = makeTokenCache<VerifiedToken>(MAX_ENTRIES / share, MAX_BYTES / share)
  const verifyToken = compileVerify(name, config, keys, cache, platform)

  return {
    name,
    configured: keys.configured,
    challenge: BEARER_CHALLENGE,
    missing: 'token-missing',
    discloses: config.discloseRequirements,
    hides: undefined,
    recall(x, now) {
      const token = bearerToken(x)
      const verified = token === undefined ? undefined : cache.get(token)
      if (verified === undefined || now < verified.validFrom || now >= verified.validUntil) return undefined
      return keys.trusted(now, x.waitUntil) && !verified.key.retired ? verified : undefined
    },
    async authenticate(x) {
      const token = bearerToken(x)
      if (token === undefined) return undefined
      if (token.length > MAX_BEARER_CHARS) return 'token-too-large'
      const jws = parseCompactJws(token)
      if (jws === undefined) return isBearerToken(token) ? 'token-malformed' : 'bearer-malformed'
      // The token names its issuer, and so its provider: no other provider looks for its key.
      if (typeof jws.issuer !== 'string') return 'token-claims'
      if (jws.issuer !== config.issuer) return 'token-issuer'
      return config.algorithms.some((alg) => alg === jws.alg) ? verifyToken(jws, x.waitUntil) : 'token-algorithm'
    },
  }
}

/** Verifies a token and caches it, or returns the code of the refusal. */
function compileVerify(
  name: string,
  config: JwtProviderConfig,
  keys: KeySource,
  cache: TokenCache<VerifiedToken>,
  platform: Pick<Platform, 'now'>,
): (jws: CompactJws, waitUntil: WaitUntil) => Promise<VerifiedToken | ProblemCode> {
  const makeIdentity = compileIdentity(name, config)
  const verify = compileVerification(config)
  return async (jws, waitUntil) => {
    const candidates = await keys.find(jws, waitUntil)
    if (typeof candidates === 'string') return candidates
    for (const key of candidates) {
      const claims = await verify(jws, key, platform.now())
      if (claims === 'token-signature') continue
      if (typeof claims === 'string') return claims
      const verified: VerifiedToken = {
        identity: makeIdentity(claims),
        validFrom: (claims.nbf ?? -Infinity) * 1000 - config.clockSkew,
        validUntil: claims.exp * 1000 + config.clockSkew,
        key,
        headers: undefined,
      }
      cache.set(jws.text, verified)
      return verified
    }
    return 'token-signature'
  }
}

function makeKeys(config: JwtProviderConfig, platform: Platform): KeySource {
  if (config.keys === 'self') return makeOwnIssuerKeys(config, platform)
  return config.jwksUri === undefined ? makeSecretKey(config, platform) : makeJwks(config, platform)
}

function compileIdentity(provider: string, config: JwtProviderConfig): (claims: VerifiedClaims) => Identity {
  const scopes = compileClaimPath(config.scopesClaim)
  const roles = compileClaimPath(config.rolesClaim)
  return (claims) => ({
    provider,
    issuer: claims.iss,
    subject: claims.sub ?? '',
    scopes: claimTexts(scopes(claims)),
    roles: claimNames(roles(claims)),
    claims,
  })
}
