import type { JwtProviderConfig } from '../config/jwt.ts'
import type { Platform } from '../../core/platform.ts'
import type { KeySource, VerificationKey } from './key-source.ts'

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
      return known
    },
  }
}

async function importSecret(bytes: Uint8Array, alg: string): Promise<VerificationKey> {
  const hmac = { name: 'HMAC', hash: `SHA-${hashBits(alg)}` }
  const key = await crypto.subtle.importKey('raw', bytes, hmac, false, ['verify'])
  return { alg, kid: undefined, key, material: '', retired: false }
}

const hashBits = (alg: string) => Number(alg.slice(2))
