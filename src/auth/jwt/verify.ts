import { errors, jwtVerify, type JWTPayload } from 'jose'
import type { ProblemCode } from '../../core/problem.ts'
import type { Authenticated } from '../authenticator.ts'
import type { JwtProviderConfig } from '../config/jwt.ts'
import type { CompactJws } from './compact-jws.ts'
import type { VerificationKey } from './key-source.ts'

/** The claims of a token whose signature and registered claims (RFC 7519 §4.1) have been verified. */
export type VerifiedClaims = JWTPayload & { readonly iss: string; readonly exp: number }

/** The last instant that a Date can hold, in seconds: past it a number is no time, and 1e400 is Infinity. */
const MAX_SECONDS = 8.64e12

/** Verifies signature, `iss`, `aud`, `exp` and `nbf` at `now` (epoch ms), or says what is wrong with the token. */
export async function verify(
  jws: CompactJws,
  { alg, key }: VerificationKey,
  config: JwtProviderConfig,
  now: number,
): Promise<VerifiedClaims | ProblemCode> {
  try {
    const { payload } = await jwtVerify(jws.text, key, {
      algorithms: [alg],
      issuer: config.issuer,
      audience: config.audience,
      clockTolerance: config.clockSkew / 1000,
      requiredClaims: ['exp', 'iss', 'aud'],
      currentDate: new Date(now),
    })
    return isSane(payload) ? payload : 'token-claims'
  } catch (error) {
    return refusalOf(error)
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
  aud: 'token-audience',
  nbf: 'token-not-yet-valid',
}

/** A JWT that was verified, by which key, and for how long that holds. */
export interface VerifiedToken extends Authenticated {
  readonly key: VerificationKey
}
