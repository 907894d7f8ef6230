import type { CryptoKey } from 'jose'
import type { Platform } from '../../core/platform.ts'
import type { ProblemCode } from '../../core/problem.ts'
import type { JwtProviderConfig } from '../config/jwt.ts'
import type { CompactJws } from './compact-jws.ts'

/** A key that may verify tokens, with exactly one algorithm (RFC 8725 §3.1). */
export interface VerificationKey {
  readonly alg: string
  readonly kid: string | undefined
  readonly key: CryptoKey
  /** The text of the key: the same text in the next key set means the same key. */
  readonly material: string
  /** True once its issuer no longer publishes it: tokens that it verified are then no longer accepted. */
  retired: boolean
}

/** `Exchange.waitUntil`: keeps `work` running after the response. */
export type WaitUntil = (work: Promise<unknown>) => void

/** The source of one provider's keys. */
export interface KeySource {
  /** False when the secret or variable behind it is not set or is too weak. */
  readonly configured: boolean
  /** Whether tokens that these keys verified earlier may still be accepted at `now` (epoch ms). Refreshes in `waitUntil`. */
  readonly trusted: (now: number, waitUntil: WaitUntil) => boolean
  /** The keys of which one may have signed this token, at least one; or the code of the refusal. Never rejects. */
  readonly find: (jws: CompactJws, waitUntil: WaitUntil) => Promise<readonly VerificationKey[] | ProblemCode>
}

/** The one key of a provider with a shared secret. Not configured when unset, or shorter than a hash (RFC 7518 §3.2). */
export function makeSecretKey(config: JwtProviderConfig, platform: Pick<Platform, 'secret'>): KeySource {
  const secret = (config.secret && platform.secret(config.secret)) ?? ''
  const bytes = new TextEncoder().encode(secret)
  const configured = config.algorithms.every((alg) => bytes.length >= hashBits(alg) / 8)
  const imported = new Map<string, VerificationKey>()
  return {
    configured,
    trusted: () => configured,
    async find({ alg }) {
      if (!configured) return 'not-configured'
      const known = imported.get(alg) ?? (await importSecret(bytes, alg))
      imported.set(alg, known)
      return [known]
    },
  }
}

async function importSecret(bytes: Uint8Array, alg: string): Promise<VerificationKey> {
  const hmac = { name: 'HMAC', hash: `SHA-${hashBits(alg)}` }
  const key = await crypto.subtle.importKey('raw', bytes, hmac, false, ['verify'])
  return { alg, kid: undefined, key, material: '', retired: false }
}

const hashBits = (alg: string) => Number(alg.slice(2))
