import type { AuthProviderConfig } from '../config/auth-provider.ts'
import type { Identity } from '../exchange.ts'
import type { Site } from '../policy.ts'
import type { ProblemCode } from '../problem.ts'
import { compileClaimPath } from '../lib/claim-path.ts'
import { claimNames, claimWords } from './claims.ts'
import type { CompactJws } from './compact-jws.ts'
import { makeJwks } from './jwks.ts'
import type { WaitUntil } from './keys.ts'
import { makeSecretKey } from './secret-key.ts'
import { makeTokenCache } from './token-cache.ts'
import type { VerifiedToken } from './verified-token.ts'
import { verify, type VerifiedClaims } from './verify.ts'

const MAX_ENTRIES = 4096
const MAX_BYTES = 8 * 1024 * 1024

/** One auth provider at work: its keys, and the tokens that they verified. */
export interface Verifier {
  readonly config: AuthProviderConfig
  /** False when a secret or variable that it needs is not set. */
  readonly configured: boolean
  /** A token that was verified before and is good now; at once, because nearly every request ends here. */
  readonly recall: (token: string, now: number, waitUntil: WaitUntil) => VerifiedToken | undefined
  /** Verifies a token and remembers it, or says why it is refused. */
  readonly verify: (jws: CompactJws, waitUntil: WaitUntil) => Promise<VerifiedToken | ProblemCode>
}

const verifiers = new WeakMap<Site, Map<string, Verifier>>()

/** The verifier of the provider `name`, one for all routes of a site: keys are fetched once, and a token verified once. */
export function verifierOf(site: Site, name: string): Verifier {
  const ofSite = verifiers.get(site) ?? new Map<string, Verifier>()
  verifiers.set(site, ofSite)
  const known = ofSite.get(name) ?? makeVerifier(name, site)
  ofSite.set(name, known)
  return known
}

function makeVerifier(name: string, site: Site): Verifier {
  const config = site.authProviders[name]!
  const keys = config.jwksUri === undefined ? makeSecretKey(config, site) : makeJwks(config, site)
  const makeIdentity = compileIdentity(name, config)
  // The bounds hold for the isolate, so providers share them.
  const share = Object.keys(site.authProviders).length
  const cache = makeTokenCache<VerifiedToken>(MAX_ENTRIES / share, MAX_BYTES / share)

  return {
    config,
    configured: keys.configured,
    recall(token, now, waitUntil) {
      const found = cache.get(token)
      if (found === undefined || now < found.validFrom || now >= found.validUntil) return undefined
      return keys.trusted(now, waitUntil) && !found.key.retired ? found : undefined
    },
    async verify(jws, waitUntil) {
      const key = await keys.find(jws, waitUntil)
      if (typeof key === 'string') return key
      const claims = await verify(jws, key, config, site.now())
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
    },
  }
}

function compileIdentity(provider: string, config: AuthProviderConfig): (claims: VerifiedClaims) => Identity {
  const scopes = compileClaimPath(config.scopesClaim)
  const roles = compileClaimPath(config.rolesClaim)
  return (claims) => ({
    provider,
    issuer: claims.iss,
    subject: claims.sub ?? '',
    scopes: claimWords(scopes(claims)),
    roles: claimNames(roles(claims)),
    claims,
  })
}
