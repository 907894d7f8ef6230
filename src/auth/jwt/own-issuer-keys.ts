import type { JwtProviderConfig } from '../config/jwt.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import type { Platform } from '../../core/platform.ts'
import { makeJwks } from './jwks.ts'
import type { KeySource } from './key-source.ts'

/** The store is ours and near: it is asked oftener than another issuer may be, so that a key that leaked is soon believed nowhere. Milliseconds. */
const FRESHNESS = { jwksCooldown: 1_000, jwksMaxAge: 30_000, jwksMaxStale: 600_000 } as const

/** The keys of the tokens that this gateway issues, from the identity store and not over HTTP; for the rest like the key set of another issuer. */
export function makeSelfKeys(
  config: JwtProviderConfig,
  platform: Pick<Platform, 'identityStore' | 'variable' | 'now'>,
): KeySource {
  const store = makeIdentityClient(platform.identityStore)
  const published = async () => {
    const keys = await store.signingKeys()
    return keys === 'unavailable' ? new Response(null, { status: 503 }) : Response.json({ keys: keys.published })
  }
  return makeJwks({ ...config, ...FRESHNESS, jwksUri: 'https://self.invalid/' }, { ...platform, fetch: published })
}
