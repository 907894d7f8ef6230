import type { CacheRedis } from '../store/cache-redis.ts'
import { FETCH_LEASE_MS, LINGER_MS, type FetchOutcome, type JoinResult } from './in-flight-fetches.ts'

type WaitUntil = (work: Promise<unknown>) => void

/** Who is fetching what, among all that share a Redis. */
export interface RedisLock {
  /** Undefined when Redis does not answer. */
  readonly join: (key: string, waitUntil: WaitUntil) => Promise<JoinResult | undefined>
  /**
   * The leader's outcome, which is `stored` also when nobody leads any more without having left one: whoever waits looks. `over` when it
   * has not come within `waitMs` milliseconds, or Redis does not answer for a second.
   */
  readonly wait: (key: string, waitMs: number, waitUntil: WaitUntil) => Promise<FetchOutcome | 'over'>
  /** `stored` only for what is in Redis: others could not read it. Never rejects. */
  readonly finish: (key: string, outcome: FetchOutcome) => Promise<unknown>
}

/** How often a question is put that gets no answer in time: who goes on without one asks the origin although another does. */
const TRIES = 3
const FIRST_POLL_MS = 10
const MAX_POLL_MS = 100
/** Late answers do not end a wait, nor does a rest that they bring about; what ends it is a Redis that stays away. */
const SILENCE_MS = 1_000

/** Waiters poll with jitter: one for each process or data centre, for the others there wait for that one. */
export function makeRedisLock(
  redis: CacheRedis,
  { now, random }: { now: () => number; random: () => number },
): RedisLock {
  const name = (key: string) => `umbral:flight:${key}`
  /** Null when nobody leads. */
  const look = (key: string, waitUntil: WaitUntil) =>
    redis.ask((commands) => commands.get<string>(name(key)), waitUntil)
  const persist = async <T>(ask: () => Promise<T | undefined>): Promise<T | undefined> => {
    for (let tries = 1; ; tries++) {
      const answer = await ask()
      if (answer !== undefined || tries === TRIES || redis.failing()) return answer
    }
  }
  return {
    async join(key, waitUntil) {
      const token = `leading ${random()}`
      const take = { nx: true, px: FETCH_LEASE_MS } as const
      const taken = await persist(() => redis.ask((commands) => commands.set(name(key), token, take), waitUntil))
      if (taken === undefined) return undefined
      if (taken === 'OK') return 'lead'
      const found = await persist(() => look(key, waitUntil))
      // A try whose answer came too late has taken it.
      if (found === token) return 'lead'
      return found === 'stored' || found === 'uncacheable' ? found : 'follow'
    },
    async wait(key, waitMs, waitUntil) {
      const until = now() + waitMs
      let heardAt = now()
      for (let poll = FIRST_POLL_MS; now() < until; poll = Math.min(poll * 1.5, MAX_POLL_MS)) {
        await pause(Math.min(poll * (0.5 + random()), until - now()))
        const found = await look(key, waitUntil)
        if (found === 'stored' || found === 'uncacheable') return found
        if (found === null) return 'stored'
        if (found !== undefined) heardAt = now()
        else if (now() - heardAt >= SILENCE_MS) return 'over'
      }
      return 'over'
    },
    // No token of the leader's: an outcome is true whoever leads by now.
    finish: (key, outcome) =>
      redis.tell<unknown>((commands) =>
        outcome === 'failed' ? commands.del(name(key)) : commands.set(name(key), outcome, { px: LINGER_MS }),
      ),
  }
}

const pause = (ms: number) => new Promise<void>((passed) => setTimeout(passed, ms))
