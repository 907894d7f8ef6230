import type { CryptoKey } from 'jose'
import type { ProblemCode } from '../../core/problem.ts'
import type { CompactJws } from './compact-jws.ts'

/** A key that may verify tokens, with exactly one algorithm (RFC 8725 §3.1). */
export interface VerificationKey {
  readonly alg: string
  readonly kid: string | undefined
  readonly key: CryptoKey
  /** What it is made of: the same text in the next key set means the same key. */
  readonly material: string
  /** True from the moment its issuer stops publishing it; then nothing that it verified counts any more. */
  retired: boolean
}

/** `Exchange.waitUntil`: keeps `work` going after the request has been answered. */
export type WaitUntil = (work: Promise<unknown>) => void

/** Where one provider's keys come from. */
export interface KeySource {
  /** False when the secret or variable behind it is not set or is too weak. */
  readonly configured: boolean
  /** Whether tokens that these keys verified earlier may still be believed at `now` (epoch ms). Refreshes in `waitUntil`. */
  readonly trusted: (now: number, waitUntil: WaitUntil) => boolean
  /** The key for this token, or why there is none. Never rejects. */
  readonly find: (jws: CompactJws, waitUntil: WaitUntil) => Promise<VerificationKey | ProblemCode>
}
