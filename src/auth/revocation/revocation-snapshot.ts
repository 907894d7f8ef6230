import type { Identity } from '../../core/exchange.ts'
import { MAX_SKEW_MS } from '../../identity/store-limits.ts'
import type { Revocation, RevocationUpdate } from '../../identity/types.ts'
import { makeReplicaSync } from '../../lib/replica-sync.ts'
import { distance } from '../../lib/time.ts'
import type { WaitUntil } from '../jwt/key-source.ts'

/** The changes in the identity store since `cursor`; `''` reads from the start. */
export type RevocationFeed = (cursor: string) => Promise<RevocationUpdate | 'unavailable'>

/** `unknown`: this isolate's copy is too old, and the store does not respond. */
export type RevocationStatus = 'good' | 'revoked' | 'unknown'

/** Whether credentials were revoked; nearly always a synchronous result from memory. Never rejects. */
export interface RevocationSnapshot {
  /**
   * The status of a caller at `now` (epoch ms); the clock of its issuer may be ahead by `skewMs` at most. A promise only when the copy is too old:
   * after a start, an idle time, an outage.
   */
  readonly status: (
    identity: Identity,
    skewMs: number,
    now: number,
    waitUntil: WaitUntil,
  ) => RevocationStatus | Promise<RevocationStatus>
  /** Entries held. */
  readonly size: () => number
}

/** Makes one isolate's copy of all revocations. When a status is `good`, the copy is at most five seconds old. */
export function makeRevocationSnapshot(feed: RevocationFeed, clock: () => number): RevocationSnapshot {
  let revoked = makeRevokedSet()
  /** A new set after a reset, in use only when all its pages have arrived: before, it lacks entries. */
  let incoming = revoked
  let cursor = ''
  let latestRead: object | undefined

  const read = async () => {
    const thisRead = (latestRead = {})
    for (;;) {
      const update = await feed(cursor)
      // Only the latest read may advance the cursor.
      if (update === 'unavailable' || thisRead !== latestRead) return false
      if (update.reset) incoming = makeRevokedSet()
      incoming.add(update.entries)
      cursor = update.cursor
      if (!update.more) break
    }
    revoked = incoming
    revoked.sweep(clock())
    return true
  }
  const sync = makeReplicaSync(read, clock)
  const statusOf = (identity: Identity, skewMs: number) => (revoked.has(identity, skewMs) ? 'revoked' : 'good')

  return {
    status(identity, skewMs, now, waitUntil) {
      const fresh = sync.isFresh(now, waitUntil)
      const status = statusOf(identity, skewMs)
      // An old copy still proves a revocation: an outage makes no revoked token good.
      if (status === 'revoked') return status
      if (typeof fresh === 'boolean') return fresh ? status : 'unknown'
      return fresh.then((isFresh) => (isFresh ? statusOf(identity, skewMs) : 'unknown'))
    },
    size: () => revoked.size(),
  }
}

/** The revocations that one isolate holds. An entry is removed when, after its `until`, the longest clock skew has passed: no token it names is accepted then. */
export interface RevokedSet {
  readonly add: (entries: readonly Revocation[]) => void
  /** Removes expired entries at `now` (epoch ms), at most once a minute. */
  readonly sweep: (now: number) => void
  /** Whether this caller's token, session, key or subject is revoked. `skewMs`: how far the issuer's clock may be ahead. */
  readonly has: (identity: Identity, skewMs: number) => boolean
  readonly size: () => number
}

/** When entries end, by id; for a subject also its cutoff, because tokens that were issued later are good. Epoch milliseconds. */
type Ends = Map<string, number>
type Cutoffs = Map<string, { readonly at: number; readonly until: number }>

const SWEEP_MS = 60_000

/** Makes an empty set. A lookup concatenates no text: each part of an identity is a key by itself, whose hash the engine caches. */
function makeRevokedSet(): RevokedSet {
  const entries: RevokedEntries = { jtis: new Map(), sids: new Map(), keyIds: new Map(), issuers: new Map() }
  const { jtis, sids, keyIds, issuers } = entries
  let isEmpty = true
  let sweptAt = 0
  const size = () => [jtis, sids, keyIds, ...issuers.values()].reduce((sum, part) => sum + part.size, 0)
  return {
    add(revocations) {
      for (const revocation of revocations) addRevocation(entries, revocation)
      isEmpty &&= revocations.length === 0
    },
    sweep(now) {
      if (isEmpty || distance(now, sweptAt) < SWEEP_MS) return
      sweptAt = now
      removeEnded(entries, now - MAX_SKEW_MS)
      isEmpty = size() === 0
    },
    has({ issuer, subject, keyId, claims: { jti, sid, iat } }, skewMs) {
      if (isEmpty) return false
      if (isAmong(jtis, jti) || isAmong(sids, sid)) return true
      if (keyId !== undefined && keyIds.has(keyId)) return true
      const cutoff = issuers.get(issuer)?.get(subject)
      // A token without `iat` may be an old one. `iat` is in whole seconds, so tokens of the cutoff's own second count as revoked.
      return cutoff !== undefined && !(typeof iat === 'number' && iat * 1000 - skewMs > cutoff.at)
    },
    size,
  }
}

interface RevokedEntries {
  readonly jtis: Ends
  readonly sids: Ends
  readonly keyIds: Ends
  readonly issuers: Map<string, Cutoffs>
}

function addRevocation({ jtis, sids, keyIds, issuers }: RevokedEntries, { target, at, until }: Revocation): void {
  if ('jti' in target) return keepLongest(jtis, target.jti, until)
  if ('sid' in target) return keepLongest(sids, target.sid, until)
  if ('keyId' in target) return keepLongest(keyIds, target.keyId, until)
  const cutoffs: Cutoffs = issuers.get(target.issuer) ?? new Map()
  issuers.set(target.issuer, cutoffs)
  const cutoff = cutoffs.get(target.subject) ?? { at, until }
  cutoffs.set(target.subject, { at: Math.max(at, cutoff.at), until: Math.max(until, cutoff.until) })
}

/** Removes the entries that ended at `time` (epoch ms) or before. */
function removeEnded({ jtis, sids, keyIds, issuers }: RevokedEntries, time: number): void {
  for (const ends of [jtis, sids, keyIds]) for (const [id, until] of ends) if (until <= time) ends.delete(id)
  for (const [issuer, cutoffs] of issuers) {
    for (const [subject, { until }] of cutoffs) if (until <= time) cutoffs.delete(subject)
    if (cutoffs.size === 0) issuers.delete(issuer)
  }
}

/** Some issuers use numbers as token ids, although RFC 7519 §4.1.7 requires text; a revocation names such a token by the number's text. */
const isAmong = (ends: Ends, id: unknown): boolean =>
  typeof id === 'string' ? ends.has(id) : typeof id === 'number' && ends.has(String(id))

function keepLongest(ends: Ends, id: string, until: number): void {
  ends.set(id, Math.max(until, ends.get(id) ?? until))
}
