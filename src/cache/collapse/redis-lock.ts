import { sleep } from '../../lib/time.ts'
import type { CacheRedis } from '../store/cache-redis.ts'
import { FETCH_LEASE_MS, LINGER_MS, type FetchOutcome, type JoinResult } from './in-flight-fetches.ts'

type WaitUntil = (work: Promise<unknown>) => void

/** The in-flight fetches of all places that share a Redis. */
export interface RedisLock {
  /** Undefined when Redis does not respond. */
  readonly join: (key: string, waitUntil: WaitUntil) => Promise<JoinResult | undefined>
  /**
   * The leader's outcome; `stored` also when there is neither a leader nor an outcome any more, so that the waiting request reads the store.
   * `over` when none has come within `waitMs` milliseconds, or Redis does not respond for a second.
   */
  readonly wait: (key: string, waitMs: number, waitUntil: WaitUntil) => Promise<FetchOutcome | 'over'>
  /** `stored` only for a response that is in Redis, because others must be able to read it. Never rejects. */
  readonly finish: (key: string, outcome: FetchOutcome) => Promise<unknown>
}

/** How often a command is tried that gets no response in time: without one the request fetches although another does. */
const TRIES = 3
const FIRST_POLL_MS = 10
const MAX_POLL_MS = 100
/** How long Redis may be silent before a wait ends, in milliseconds; single late responses do not end it. */
const SILENCE_MS = 1_000

interface LockClock {
  readonly now: () => number
  readonly random: () => number
}

/** Makes the lock. One request of each process or data centre polls it, with jitter; the others wait for that one. */
export function makeRedisLock(redis: CacheRedis, clock: LockClock): RedisLock {
  const name = (key: string) => `umbral:flight:${key}`
  /** Null when no request leads. */
  const look = (key: string, waitUntil: WaitUntil) =>
    redis.ask((commands) => commands.get<string>(name(key)), waitUntil)
  const persist = async <T>(ask: () => Promise<T | undefined>): Promise<T | undefined> => {
    for (let tries = 1; ; tries++) {
      const response = await ask()
      if (response !== undefined || tries === TRIES || redis.failing()) return response
    }
  }
  return {
    async join(key, waitUntil) {
      const token = `leading ${clock.random()}`
      const take = { nx: true, px: FETCH_LEASE_MS } as const
      const taken = await persist(() => redis.ask((commands) => commands.set(name(key), token, take), waitUntil))
      if (taken === undefined) return undefined
      if (taken === 'OK') return 'lead'
      const found = await persist(() => look(key, waitUntil))
      // A try whose response came too late has taken the lock.
      if (found === token) return 'lead'
      return found === 'stored' || found === 'uncacheable' ? found : 'follow'
    },
    wait: (key, waitMs, waitUntil) => pollOutcome(() => look(key, waitUntil), waitMs, clock),
    // The leader's token is not checked: an outcome is valid whichever request leads by now.
    finish: (key, outcome) =>
      redis.tell<unknown>((commands) =>
        outcome === 'failed' ? commands.del(name(key)) : commands.set(name(key), outcome, { px: LINGER_MS }),
      ),
  }
}

/** `look` gives null when no request leads, undefined when Redis does not respond. */
async function pollOutcome(
  look: () => Promise<string | null | undefined>,
  waitMs: number,
  { now, random }: LockClock,
): Promise<FetchOutcome | 'over'> {
  const until = now() + waitMs
  let respondedAt = now()
  for (let poll = FIRST_POLL_MS; now() < until; poll = Math.min(poll * 1.5, MAX_POLL_MS)) {
    await sleep(Math.min(poll * (0.5 + random()), until - now()))
    const found = await look()
    if (found === 'stored' || found === 'uncacheable') return found
    if (found === null) return 'stored'
    if (found !== undefined) respondedAt = now()
    else if (now() - respondedAt >= SILENCE_MS) return 'over'
  }
  return 'over'
}
