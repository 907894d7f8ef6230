import { makeIdentityClient } from './client.ts'
import type { SigningKeys } from './types.ts'
import type { Platform } from '../core/platform.ts'

/** The keys that this gateway signs with; undefined while the store is out of reach and what is known is too old. Never rejects. */
export type OwnKeys = () => Promise<SigningKeys | undefined>

/** A key that leaked and was replaced signs no longer than this, in milliseconds: nobody believes it any more, and its tokens would be of no use. */
const ASK_AFTER_MS = 5_000

const perPlatform = new WeakMap<Platform, OwnKeys>()

/** One for all endpoints of a platform: the store is asked every five seconds, and oftener when it says that the keys may have changed. */
export function ownKeysOf(platform: Platform): OwnKeys {
  const known = perPlatform.get(platform) ?? makeOwnKeys(platform)
  perPlatform.set(platform, known)
  return known
}

function makeOwnKeys({ identityStore: identity, now }: Pick<Platform, 'identityStore' | 'now'>): OwnKeys {
  const store = makeIdentityClient(identity)
  let known: { readonly keys: SigningKeys; readonly askedAt: number } | undefined
  // The distance, because a clock may step back.
  const ageIsWithin = (ms: number) => known !== undefined && Math.abs(now() - known.askedAt) < ms
  return async () => {
    if (ageIsWithin(Math.min(ASK_AFTER_MS, known?.keys.refreshAfterMs ?? 0))) return known?.keys
    const askedAt = now()
    const keys = await store.signingKeys()
    if (keys !== 'unavailable') known = { keys, askedAt }
    return ageIsWithin(2 * (known?.keys.refreshAfterMs ?? 0)) ? known?.keys : undefined
  }
}
