import type { AuthProviderConfig } from '../config/auth-provider.ts'
import { resolveUrl } from '../config/scalars.ts'
import type { Site } from '../policy.ts'
import type { CompactJws } from './compact-jws.ts'
import { FETCH_TIMEOUT_MS, loadKeySet } from './key-set.ts'
import type { KeySource, VerificationKey, WaitUntil } from './keys.ts'

const POLL_MS = 20

/**
 * The keys that an issuer publishes at `jwksUri`, kept in this isolate.
 * Fetched when first needed, again after `jwksMaxAge` while the old ones go on serving, and for an unknown key id;
 * two fetches are never closer than `jwksCooldown`, or 2 s while no key is usable. The last good keys outlive an issuer
 * that is down up to `jwksMaxStale`; from then on nothing is believed.
 */
export function makeJwks(config: AuthProviderConfig, site: Pick<Site, 'variable' | 'now' | 'fetch'>): KeySource {
  const url = config.jwksUri && resolveUrl(config.jwksUri, site.variable)
  const maxUsableAge = Math.max(config.jwksMaxAge, config.jwksMaxStale)
  let keys: VerificationKey[] = []
  let loadedAt = -Infinity
  let lastFetch = { startedAt: -Infinity, state: 'done' as 'running' | 'done' | 'failed' }

  const usable = (now: number) => now - loadedAt <= maxUsableAge
  // A fetch whose request was dropped never ends: after its timeout it no longer counts as running.
  const running = (now: number) => lastFetch.state === 'running' && now - lastFetch.startedAt < FETCH_TIMEOUT_MS
  const mayFetch = (now: number) => {
    // Without any key every request is refused, so then the issuer is asked sooner than the cooldown says.
    const pause = usable(now) ? config.jwksCooldown : Math.min(config.jwksCooldown, FETCH_TIMEOUT_MS)
    return !running(now) && now - lastFetch.startedAt >= pause
  }

  const refresh = async () => {
    const mine: typeof lastFetch = { startedAt: site.now(), state: 'running' }
    lastFetch = mine
    const loaded = await loadKeySet(url!, config.algorithms, keys, site.fetch)
    mine.state = loaded ? 'done' : 'failed'
    if (!loaded || mine !== lastFetch) return
    for (const old of keys) old.retired = !loaded.includes(old)
    keys = loaded
    loadedAt = mine.startedAt
  }

  // Another request's promise must not be awaited, so its result is watched for; counted, as the clock may stand still.
  const otherFetchEnded = async () => {
    for (let polls = 0; running(site.now()) && polls < FETCH_TIMEOUT_MS / POLL_MS; polls++)
      await new Promise((passed) => setTimeout(passed, POLL_MS))
  }

  const trusted = (now: number, waitUntil: WaitUntil) => {
    if (now - loadedAt > config.jwksMaxAge && usable(now) && mayFetch(now)) waitUntil(refresh())
    return usable(now)
  }

  return {
    configured: url !== undefined,
    trusted,
    async find(jws, waitUntil) {
      if (url === undefined) return 'not-configured'
      const now = site.now()
      const known = trusted(now, waitUntil) && pick(keys, jws)
      if (known) return known
      if (mayFetch(now)) {
        const work = refresh()
        // A client that leaves takes its handler with it; the fetch is for everyone and goes on.
        waitUntil(work)
        await work
      } else if (running(now)) {
        await otherFetchEnded()
      }
      if (!usable(site.now())) return 'keys-unavailable'
      // "Unknown" may only be said of a set that was seen: a key made during the issuer's outage could be real.
      return pick(keys, jws) ?? (lastFetch.state === 'done' ? 'token-key-unknown' : 'keys-unavailable')
    },
  }
}

/** The key with the token's id and algorithm; for a token without an id the only one of that algorithm. */
function pick(keys: readonly VerificationKey[], { alg, kid }: CompactJws): VerificationKey | undefined {
  const fitting = keys.filter((key) => key.alg === alg && (kid === undefined || key.kid === kid))
  return fitting.length === 1 ? fitting[0] : undefined
}
