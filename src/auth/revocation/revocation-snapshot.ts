import type { Identity } from '../../core/exchange.ts'
import type { RevocationNews } from '../../identity/types.ts'
import { makeFollower } from '../../lib/replica-sync.ts'
import type { WaitUntil } from '../jwt/key-source.ts'
import { makeRevoked } from './revoked-set.ts'

/** What the identity store says of the time after `cursor`; `''` begins. */
export type RevocationFeed = (cursor: string) => Promise<RevocationNews | 'unavailable'>

/** `unknown`: what this isolate knows is too old, and the store does not answer. */
export type Standing = 'good' | 'revoked' | 'unknown'

/** Says of callers whether what they show was revoked; nearly always at once, from memory. Never rejects. */
export interface Revocations {
  /**
   * How a caller stands at `now` (epoch ms), by an issuer whose clock is ahead by `skewMs` at most. A promise only when what is known
   * is too old: after a start, an idle time, an outage.
   */
  readonly standing: (
    identity: Identity,
    skewMs: number,
    now: number,
    waitUntil: WaitUntil,
  ) => Standing | Promise<Standing>
  /** Entries held. */
  readonly size: () => number
}

/** One isolate's copy of all revocations, never more than five seconds behind when it says "good". */
export function makeRevocations(feed: RevocationFeed, clock: () => number): Revocations {
  let revoked = makeRevoked()
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
      if (news.reset) growing = makeRevoked()
      growing.add(news.entries)
      cursor = news.cursor
      if (!news.more) break
    }
    revoked = growing
    revoked.sweep(clock())
    return true
  }
  const follower = makeFollower(read, clock)
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
