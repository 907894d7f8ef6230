import type { Identity } from '../../core/exchange.ts'
import { MAX_SKEW_MS } from '../../identity/store-limits.ts'
import type { Revocation, RevocationUpdate } from '../../identity/types.ts'
import { makeReplicaSync } from '../../lib/replica-sync.ts'
import type { WaitUntil } from '../jwt/key-source.ts'

/** What the identity store says of the time after `cursor`; `''` begins. */
export type RevocationFeed = (cursor: string) => Promise<RevocationUpdate | 'unavailable'>

/** `unknown`: what this isolate knows is too old, and the store does not answer. */
export type RevocationStatus = 'good' | 'revoked' | 'unknown'

/** Says of callers whether what they show was revoked; nearly always at once, from memory. Never rejects. */
export interface RevocationSnapshot {
  /**
   * How a caller stands at `now` (epoch ms), by an issuer whose clock is ahead by `skewMs` at most. A promise only when what is known
   * is too old: after a start, an idle time, an outage.
   */
  readonly standing: (
    identity: Identity,
    skewMs: number,
    now: number,
    waitUntil: WaitUntil,
  ) => RevocationStatus | Promise<RevocationStatus>
  /** Entries held. */
  readonly size: () => number
}

/** One isolate's copy of all revocations, never more than five seconds behind when it says "good". */
export function makeRevocationSnapshot(feed: RevocationFeed, clock: () => number): RevocationSnapshot {
  let revoked = makeRevokedSet()
  /** Another one after a reset, until all its pages are there: before, it knows less. */
  let growing = revoked
  let cursor = ''
  let latest: object | undefined

  const read = async () => {
    const mine = (latest = {})
    for (;;) {
      const news = await feed(cursor)
      // Only one reading may move the cursor.
      if (news === 'unavailable' || mine !== latest) return false
      if (news.reset) growing = makeRevokedSet()
      growing.add(news.entries)
      cursor = news.cursor
      if (!news.more) break
    }
    revoked = growing
    revoked.sweep(clock())
    return true
  }
  const follower = makeReplicaSync(read, clock)
  const judge = (identity: Identity, skewMs: number) => (revoked.has(identity, skewMs) ? 'revoked' : 'good')

  return {
    standing(identity, skewMs, now, waitUntil) {
      const fresh = follower.isFresh(now, waitUntil)
      const standing = judge(identity, skewMs)
      // What is known stays known: no outage makes a revoked token good.
      if (standing === 'revoked') return standing
      if (typeof fresh === 'boolean') return fresh ? standing : 'unknown'
      return fresh.then((isFresh) => (isFresh ? judge(identity, skewMs) : 'unknown'))
    },
    size: () => revoked.size(),
  }
}

/** What was revoked, as one isolate knows it. No more of it than the store has: each entry goes as long after its `until` as a token may live on. */
export interface RevokedSet {
  readonly add: (entries: readonly Revocation[]) => void
  /** Forgets what is over at `now` (epoch ms), at most once a minute. */
  readonly sweep: (now: number) => void
  /** Whether this caller's token, refresh family, key or subject is among it. `skewMs`: how far the issuer's clock may be ahead. */
  readonly has: (identity: Identity, skewMs: number) => boolean
  readonly size: () => number
}

/** Ends by id; of a subject also since when, as tokens that were issued later are good. Epoch milliseconds. */
type Ends = Map<string, number>
type Cutoffs = Map<string, { readonly at: number; readonly until: number }>

const SWEEP_MS = 60_000

/** Nothing is put together to look something up: each part of an identity is a key by itself, whose hash the engine keeps. */
export function makeRevokedSet(): RevokedSet {
  const [jtis, sids, keyIds]: [Ends, Ends, Ends] = [new Map(), new Map(), new Map()]
  const issuers = new Map<string, Cutoffs>()
  let empty = true
  let sweptAt = 0

  const add = ({ target, at, until }: Revocation) => {
    if ('jti' in target) keepLongest(jtis, target.jti, until)
    else if ('sid' in target) keepLongest(sids, target.sid, until)
    else if ('keyId' in target) keepLongest(keyIds, target.keyId, until)
    else {
      const cutoffs = issuers.get(target.issuer) ?? new Map<string, { at: number; until: number }>()
      issuers.set(target.issuer, cutoffs)
      const known = cutoffs.get(target.subject) ?? { at, until }
      cutoffs.set(target.subject, { at: Math.max(at, known.at), until: Math.max(until, known.until) })
    }
  }
  const size = () => [jtis, sids, keyIds, ...issuers.values()].reduce((sum, entries) => sum + entries.size, 0)

  return {
    add(entries) {
      for (const entry of entries) add(entry)
      empty &&= entries.length === 0
    },
    sweep(now) {
      if (empty || Math.abs(now - sweptAt) < SWEEP_MS) return
      sweptAt = now
      const end = now - MAX_SKEW_MS
      for (const ends of [jtis, sids, keyIds]) for (const [id, until] of ends) if (until <= end) ends.delete(id)
      for (const [issuer, cutoffs] of issuers) {
        for (const [subject, { until }] of cutoffs) if (until <= end) cutoffs.delete(subject)
        if (cutoffs.size === 0) issuers.delete(issuer)
      }
      empty = size() === 0
    },
    has({ issuer, subject, keyId, claims: { jti, sid, iat } }, skewMs) {
      if (empty) return false
      if (isAmong(jtis, jti) || isAmong(sids, sid)) return true
      if (keyId !== undefined && keyIds.has(keyId)) return true
      const cutoff = issuers.get(issuer)?.get(subject)
      // One that does not say when it was issued may be an old one; `iat` is cut to whole seconds, so the cutoff's own second counts.
      return cutoff !== undefined && !(typeof iat === 'number' && iat * 1000 - skewMs > cutoff.at)
    },
    size,
  }
}

/** Some issuers number their tokens, although RFC 7519 §4.1.7 wants text; whoever revokes one writes the number as text. */
const isAmong = (ends: Ends, id: unknown): boolean =>
  typeof id === 'string' ? ends.has(id) : typeof id === 'number' && ends.has(String(id))

function keepLongest(ends: Ends, id: string, until: number): void {
  ends.set(id, Math.max(until, ends.get(id) ?? until))
}
