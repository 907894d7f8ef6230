import { isDocumentUrl, resolveUrl } from '../../config/schema/scalars.ts'
import type { Platform } from '../../core/platform.ts'
import { makeIdentityClient } from '../../identity/client.ts'
import { logEvent } from '../../telemetry/events.ts'
import type { JwtProviderConfig } from '../config/jwt.ts'
import type { CompactJws } from './compact-jws.ts'
import { FETCH_TIMEOUT_MS, loadKeySet } from './key-set.ts'
import type { KeySource, VerificationKey, WaitUntil } from './key-source.ts'

const POLL_MS = 20

type JwksPlatform = Pick<Platform, 'variable' | 'now' | 'fetch'>

/** The keys of one issuer in this isolate. */
interface KeyCache {
  keys: readonly VerificationKey[]
  loadedAt: number
  lastFetch: { readonly startedAt: number; state: 'running' | 'done' | 'failed' }
  /** The change of state that was logged last. */
  logged: 'jwks-fresh' | 'jwks-stale' | 'jwks-unavailable'
}

/**
 * The keys that an issuer publishes at `jwksUri`, kept in this isolate.
 * Fetched when first needed, again after `jwksMaxAge` while the old ones go on serving, and for an unknown key id;
 * two fetches are never closer than `jwksCooldown`, or 2 s while no key is usable. The last good keys outlive an issuer
 * that is down up to `jwksMaxStale`; after that every token is refused.
 */
export function makeJwks(config: JwtProviderConfig, platform: JwksPlatform): KeySource {
  const url = config.jwksUri && resolveUrl(config.jwksUri, platform.variable, isDocumentUrl)
  const cache: KeyCache = {
    keys: [],
    loadedAt: -Infinity,
    lastFetch: { startedAt: -Infinity, state: 'done' },
    logged: 'jwks-fresh',
  }

  const trusted = (now: number, waitUntil: WaitUntil) => {
    const usable = isUsable(cache, config, now)
    if (usable && since(cache.loadedAt, now) > config.jwksMaxAge && mayFetch(cache, config, now))
      waitUntil(refresh(cache, url!, config, platform))
    return usable
  }

  return {
    configured: url !== undefined,
    trusted,
    async find(jws, waitUntil) {
      if (url === undefined) return 'not-configured'
      const now = platform.now()
      const known = trusted(now, waitUntil) ? pick(cache.keys, jws) : []
      if (known.length > 0) return known
      if (mayFetch(cache, config, now)) {
        const work = refresh(cache, url, config, platform)
        // A client that leaves takes its handler with it; the fetch is for everyone and goes on.
        waitUntil(work)
        await work
      } else await runningFetch(cache, platform.now)
      if (!isUsable(cache, config, platform.now())) return 'keys-unavailable'
      // "Unknown" may only be said of a set that was seen: a key made during the issuer's outage could be real.
      const found = pick(cache.keys, jws)
      if (found.length > 0) return found
      return cache.lastFetch.state === 'done' ? 'token-key-unknown' : 'keys-unavailable'
    },
  }
}

/** Milliseconds between the two; the distance, because a clock may step back. */
function since(then: number, now: number): number {
  return Math.abs(now - then)
}

function isUsable({ loadedAt }: KeyCache, { jwksMaxAge, jwksMaxStale }: JwtProviderConfig, now: number): boolean {
  return since(loadedAt, now) <= Math.max(jwksMaxAge, jwksMaxStale)
}

/** A fetch whose request was dropped never ends: after its timeout it no longer counts as running. */
function isFetching({ lastFetch }: KeyCache, now: number): boolean {
  return lastFetch.state === 'running' && since(lastFetch.startedAt, now) < FETCH_TIMEOUT_MS
}

function mayFetch(cache: KeyCache, config: JwtProviderConfig, now: number): boolean {
  // Without any key every request is refused, so the keys are fetched again sooner than after the cooldown.
  const pause = isUsable(cache, config, now) ? config.jwksCooldown : Math.min(config.jwksCooldown, FETCH_TIMEOUT_MS)
  return !isFetching(cache, now) && since(cache.lastFetch.startedAt, now) >= pause
}

async function refresh(cache: KeyCache, url: string, config: JwtProviderConfig, platform: JwksPlatform): Promise<void> {
  const mine: KeyCache['lastFetch'] = { startedAt: platform.now(), state: 'running' }
  cache.lastFetch = mine
  const loaded = await loadKeySet(url, config.algorithms, cache.keys, platform.fetch)
  const failure = typeof loaded === 'string' ? loaded : undefined
  mine.state = failure === undefined ? 'done' : 'failed'
  logState(cache, failure, config, platform)
  if (typeof loaded === 'string' || mine !== cache.lastFetch) return
  for (const old of cache.keys) old.retired = !loaded.includes(old)
  cache.keys = loaded
  cache.loadedAt = mine.startedAt
}

/** Logs what the result of a fetch has changed. A failed fetch for an unknown key id changes nothing while the keys are fresh. */
function logState(
  cache: KeyCache,
  failure: string | undefined,
  config: JwtProviderConfig,
  platform: JwksPlatform,
): void {
  const now = platform.now()
  const ageMs = since(cache.loadedAt, now)
  if (failure !== undefined && ageMs <= config.jwksMaxAge) return
  const isStale = isUsable(cache, config, now)
  const state = failure === undefined ? 'jwks-fresh' : isStale ? 'jwks-stale' : 'jwks-unavailable'
  if (state === cache.logged) return
  cache.logged = state
  const fields = { issuer: config.issuer, reason: failure, ...(isStale && failure !== undefined && { ageMs }) }
  logEvent(state, fields, platform.variable('LOG_LEVEL'), now)
}

/** Another request's promise must not be awaited, so its result is watched for; counted, as the clock may stand still. */
async function runningFetch(cache: KeyCache, now: () => number): Promise<void> {
  for (let polls = 0; isFetching(cache, now()) && polls < FETCH_TIMEOUT_MS / POLL_MS; polls++)
    await new Promise((passed) => setTimeout(passed, POLL_MS))
}

/** Bounds the verifications of a token without an id. */
const MAX_CANDIDATES = 8

/** The one key of the token's id and algorithm, none when several have both; for a token without an id the keys of its algorithm, the first 8. */
function pick(keys: readonly VerificationKey[], { alg, kid }: CompactJws): readonly VerificationKey[] {
  const fitting = keys.filter((key) => key.alg === alg && (kid === undefined || key.kid === kid))
  if (kid === undefined) return fitting.slice(0, MAX_CANDIDATES)
  return fitting.length === 1 ? fitting : []
}

/** The identity store belongs to the gateway and is near: its keys are fetched more often than another issuer's, so that a leaked key is soon refused everywhere. Milliseconds. */
const FRESHNESS = { jwksCooldown: 1_000, jwksMaxAge: 30_000, jwksMaxStale: 600_000 } as const

/** The keys of the tokens that this gateway issues, from the identity store and not over HTTP; for the rest like the key set of another issuer. */
export function makeOwnIssuerKeys(
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
