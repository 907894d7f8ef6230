import type { Identity } from '../exchange.ts'
import { within } from '../lib/within.ts'
import type { WaitUntil } from './keys.ts'
import { followRevocations, since, type RevocationFeed } from './revocation-feed.ts'
import { makeRevoked } from './revoked.ts'

/** From this age on what is known is asked for again, in the background. */
const REFRESH_MS = 2_000
/** Nothing older is believed, so that a revocation is in force everywhere after it. */
const MAX_AGE_MS = 5_000
/** How long a request waits for news; none does for so long after a failure. */
const ANSWER_MS = 250
const FAILED_MS = 2_000
const POLL_MS = 5

/** `unknown`: what this isolate knows is too old, and the store does not answer. */
export type Standing = 'good' | 'revoked' | 'unknown'

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
  const revoked = makeRevoked()
  const follower = followRevocations(feed, revoked, clock)
  const isFresh = (now: number) => since(follower.askedAt(), now) < MAX_AGE_MS
  const judge = (identity: Identity, skewMs: number) => (revoked.has(identity, skewMs) ? 'revoked' : 'good')

  const news = async (own: Promise<void> | undefined): Promise<boolean> => {
    if (own) await within(ANSWER_MS, () => own)
    // Another request's promise must not be awaited, so its result is watched for; counted, as the clock may stand still.
    else for (let polls = ANSWER_MS / POLL_MS; polls > 0 && follower.isAsking(); polls--) await pause()
    if (isFresh(clock())) return true
    follower.giveUp()
    return false
  }

  return {
    standing(identity, skewMs, now, waitUntil) {
      const own = since(follower.askedAt(), now) < REFRESH_MS ? undefined : follower.ask()
      if (own) waitUntil(own)
      const standing = judge(identity, skewMs)
      // What is known stays known: no outage makes a revoked token good.
      if (standing === 'revoked' || isFresh(now)) return standing
      if (since(follower.failedAt(), now) < FAILED_MS) return 'unknown'
      return news(own).then((fresh) => (fresh ? judge(identity, skewMs) : 'unknown'))
    },
    size: revoked.size,
  }
}

const pause = () => new Promise<void>((passed) => setTimeout(passed, POLL_MS))
