import type { IntrospectionProviderConfig } from './config/introspection.ts'
import { compileClaimPath } from '../lib/claim-path.ts'
import type { ProblemCode } from '../core/problem.ts'
import type { Authenticated } from './authenticator.ts'
import { claimNames, claimWords } from './jwt/claims.ts'
import { introspectionIssuer } from './issuers.ts'

/** The members of an introspection answer (RFC 7662 §2.2). */
type Introspected = Readonly<Record<string, unknown>>

/** The object in a JSON text; undefined when it holds something else. Throws when it is no JSON. */
export function parseIntrospected(json: string): Introspected | undefined {
  const value: unknown = JSON.parse(json)
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Introspected) : undefined
}

/** Compiles what a provider wants of an answer into a judge of answers at `now` (epoch ms). */
export function compileIntrospected(
  provider: string,
  config: IntrospectionProviderConfig,
  url: string,
): (found: Introspected, now: number) => Authenticated | ProblemCode {
  const scopes = compileClaimPath(config.scopesClaim)
  const roles = compileClaimPath(config.rolesClaim)
  const issuer = config.issuer ?? introspectionIssuer(url)
  return (found, now) => {
    if (found.active !== true) return 'token-inactive'
    const { iss = issuer, sub = '', exp, nbf } = found
    if (typeof iss !== 'string' || typeof sub !== 'string' || !isAccessToken(found)) return 'token-claims'
    if (!isTime(exp) || !isTime(nbf)) return 'token-claims'
    if (config.issuer !== undefined && iss !== config.issuer) return 'token-issuer'
    if (config.audience !== undefined && ![found.aud].flat().includes(config.audience)) return 'token-audience'
    const [validFrom, validUntil] = [(nbf ?? -Infinity) * 1000, (exp ?? Infinity) * 1000]
    if (now >= validUntil) return 'token-expired'
    if (now < validFrom) return 'token-not-yet-valid'
    return {
      identity: {
        provider,
        issuer: iss,
        subject: sub,
        scopes: claimWords(scopes(found)),
        roles: claimNames(roles(found)),
        claims: found,
      },
      validFrom,
      validUntil,
      headers: undefined,
    }
  }
}

/** Issuers find refresh tokens active too, and tokens bound to a key; neither may be used as a bearer token. */
function isAccessToken({ token_type: type }: Introspected): boolean {
  return type === undefined || (typeof type === 'string' && /^(?:bearer|access_token)$/i.test(type))
}

const isTime = (value: unknown): value is number | undefined =>
  value === undefined || (typeof value === 'number' && Number.isFinite(value))
