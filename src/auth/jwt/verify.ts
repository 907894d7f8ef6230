import { errors, jwtVerify, type JWTPayload } from 'jose'
import type { ProblemCode } from '../../core/problem.ts'
import { compileClaimPath } from '../../core/request-attribute.ts'
import type { Authenticated } from '../authenticator.ts'
import type { JwtProviderConfig } from '../config/jwt.ts'
import type { CompactJws } from './compact-jws.ts'
import type { VerificationKey } from './key-source.ts'

/** The claims of a token whose signature and registered claims (RFC 7519 §4.1) have been verified. */
export type VerifiedClaims = JWTPayload & { readonly iss: string; readonly exp: number }

/** The last instant that a Date can hold, in seconds: past it a number is no time, and 1e400 is Infinity. */
const MAX_SECONDS = 8.64e12

/**
 * Compiles the check of a token's signature, `iss`, `exp`, `nbf` at `now` (epoch ms), and of its audience, in the claim that the provider names:
 * the claims, or the code of the refusal.
 */
export function compileVerification(
  config: JwtProviderConfig,
): (jws: CompactJws, key: VerificationKey, now: number) => Promise<VerifiedClaims | ProblemCode> {
  const audiences = compileClaimPath(config.audienceClaim)
  const accepted = new Set<unknown>([config.audience].flat())
  return async (jws, { alg, key }, now) => {
    try {
      const { payload } = await jwtVerify(jws.text, key, {
        algorithms: [alg],
        issuer: config.issuer,
        clockTolerance: config.clockSkew / 1000,
        requiredClaims: ['exp', 'iss'],
        currentDate: new Date(now),
      })
      const found = audiences(payload)
      if (found === undefined || !isSane(payload)) return 'token-claims'
      return [found].flat().some((audience) => accepted.has(audience)) ? payload : 'token-audience'
    } catch (error) {
      return refusalOf(error)
    }
  }
}

function isSane(payload: JWTPayload): payload is VerifiedClaims {
  const times = [payload.exp, payload.nbf, payload.iat]
  if (times.some((time) => time !== undefined && !(Math.abs(time) <= MAX_SECONDS))) return false
  return payload.sub === undefined || typeof payload.sub === 'string'
}

function refusalOf(error: unknown): ProblemCode {
  if (error instanceof errors.JWTExpired) return 'token-expired'
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'token-signature'
  if (error instanceof errors.JOSEAlgNotAllowed) return 'token-algorithm'
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.reason !== 'check_failed') return 'token-claims'
    return CLAIM_REFUSALS[error.claim] ?? 'token-claims'
  }
  if (error instanceof errors.JOSEError) return 'token-malformed'
  throw error
}

const CLAIM_REFUSALS: Readonly<Record<string, ProblemCode>> = {
  iss: 'token-issuer',
  nbf: 'token-not-yet-valid',
}

/** A JWT that was verified, by which key, and for how long that holds. */
export interface VerifiedToken extends Authenticated {
  readonly key: VerificationKey
}
