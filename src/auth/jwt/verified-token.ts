import type { Authenticated } from '../authenticator.ts'
import type { VerificationKey } from './key-source.ts'

/** A JWT that was verified, by which key, and for how long that holds. */
export interface VerifiedToken extends Authenticated {
  readonly key: VerificationKey
}
