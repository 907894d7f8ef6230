import type { RevocationNews } from '../identity/types.ts'
import { within } from '../lib/within.ts'
import type { Revoked } from './revoked.ts'

/** What the identity store says of the time after `cursor`; `''` begins. */
export type RevocationFeed = (cursor: string) => Promise<RevocationNews | 'unavailable'>

/** Keeps a copy up with the feed. Times are epoch milliseconds. */
export interface Follower {
  /** When what is known was asked for; `-Infinity` before the first answer. */
  readonly askedAt: () => number
  /** When the store failed last; `-Infinity` while it answers. */
  readonly failedAt: () => number
  /** Whether a question is under way. */
  readonly isAsking: () => boolean
  /** Asks, unless one is under way or the store failed half a second ago. Never rejects; keep it alive in `waitUntil`. */
  readonly ask: () => Promise<void> | undefined
  /** Somebody waited for an answer in vain. */
  readonly giveUp: () => void
}

/** How long the store may take over all pages of its answer. */
const ASK_MS = 1_000
/** From a failure to the next question. */
const PAUSE_MS = 500

export function followRevocations(feed: RevocationFeed, revoked: Revoked, clock: () => number): Follower {
  let [cursor, askedAt, failedAt] = ['', -Infinity, -Infinity]
  let question: { readonly startedAt: number } | undefined

  /** Undefined when the store fails, or when another question has taken this one's place: only one may move the cursor. */
  const readAll = async (mine: typeof question): Promise<true | undefined> => {
    for (;;) {
      const news = await feed(cursor)
      if (news === 'unavailable' || mine !== question) return undefined
      if (news.reset) {
        revoked.clear()
        // Until all pages are there less is known than before.
        askedAt = -Infinity
      }
      revoked.add(news.entries)
      cursor = news.cursor
      if (!news.more) return true
    }
  }
  const run = async () => {
    const mine = { startedAt: clock() }
    question = mine
    const done = await within(ASK_MS, () => readAll(mine))
    if (mine !== question) return
    question = undefined
    if (done) [askedAt, failedAt] = [mine.startedAt, -Infinity]
    else failedAt = clock()
    revoked.sweep(clock())
  }
  // One whose request was dropped never ends: after its time it no longer counts.
  const isAsking = () => question !== undefined && since(question.startedAt, clock()) < ASK_MS

  return {
    askedAt: () => askedAt,
    failedAt: () => failedAt,
    isAsking,
    ask: () => (isAsking() || since(failedAt, clock()) < PAUSE_MS ? undefined : run()),
    giveUp: () => void (failedAt = clock()),
  }
}

/** Milliseconds between the two; the distance, because a clock may step back. */
export function since(then: number, now: number): number {
  return Math.abs(now - then)
}
