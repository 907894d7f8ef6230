import type { Identity } from '../exchange.ts'
import type { VerificationKey } from './keys.ts'

/** A token that was verified, and for how long that holds. */
export interface VerifiedToken {
  readonly identity: Identity
  /** Epoch milliseconds, clock skew included; good from `validFrom` until before `validUntil`. */
  readonly validFrom: number
  readonly validUntil: number
  readonly key: VerificationKey
  /** The identity headers made of it last, and for which sources; routes mostly ask for the same ones. */
  headers: { readonly sources: string; readonly pairs: HeaderPairs } | undefined
}

export type HeaderPairs = readonly (readonly [name: string, value: string])[]
