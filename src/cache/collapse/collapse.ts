import { createHash } from 'node:crypto'
import { callObject } from '../../core/durable-object.ts'
import type { Exchange } from '../../core/exchange.ts'
import { perPlatform, type Platform } from '../../core/platform.ts'
import { makeStoreHealth } from '../../lib/store-health.ts'
import { withTimeout } from '../../lib/time.ts'
import type { CacheCoordinatorApi } from '../api.ts'
import { cacheRedis, type CacheRedis } from '../store/cache-redis.ts'
import { makeTiers, type Keeping, type Tiers } from '../store/tiers.ts'
import { FETCH_LEASE_MS, type FetchOutcome, type JoinResult, type WaitResult } from './in-flight-fetches.ts'
import { makeRedisLock, type RedisLock } from './redis-lock.ts'

export type { FetchOutcome } from './in-flight-fetches.ts'

/** The request that fetches for all. */
export interface FetchLead {
  readonly role: 'lead'
  /** Never rejects; the first call counts. Keep it alive in `waitUntil`. */
  readonly finish: (end: FetchEnd) => Promise<void>
}

/** The end of a leader's fetch: a response that is being stored, which waiting requests get once it can be read, or nothing. */
export type FetchEnd = Keeping | Exclude<FetchOutcome, 'stored'>

/**
 * What a request does about a miss. `read`: another request has stored the response; when it is of no use, join once more, then go on as `alone`.
 * `alone`: fetch without collapsing.
 */
export type CollapseTurn = FetchLead | { readonly role: 'read' } | { readonly role: 'alone' }

/** The part of an exchange that collapsing needs. */
export type CollapseExchange = Pick<Exchange, 'request' | 'deadline' | 'waitUntil'>

/** Makes one origin request of concurrent misses of one key. */
export interface Collapse {
  /**
   * Waits for the leader, `waitMs` milliseconds at most and never past `x.deadline`. `hasRead`: the response of an earlier turn `read` was of
   * no use, because it was purged, expired, or another variant. Never rejects.
   */
  readonly join: (key: string, x: CollapseExchange, waitMs: number, hasRead?: boolean) => Promise<CollapseTurn>
  /** For work that no client waits for, such as a refresh: undefined while another request does it, or has just done it. Never rejects. */
  readonly lead: (key: string, x: CollapseExchange) => Promise<FetchLead | undefined>
}

/** The part of `Platform` that this needs. */
export type CollapsePlatform = Pick<
  Platform,
  'now' | 'random' | 'variable' | 'secret' | 'cacheCoordinators' | 'edgeCache'
>

/**
 * The collapsing of a platform, which its routes share. Isolates of one data centre or process coordinate through Durable Objects, because they
 * read the same edge tier; with Redis, which all can read, the leaders of all places agree on one leader through a lock.
 */
export const makeCollapse = perPlatform(
  (platform: CollapsePlatform, redis: CacheRedis | undefined = cacheRedis(platform)) =>
    compileCollapse(platform, redis, makeTiers(platform, redis)),
)

const ALONE = { role: 'alone' } as const
const READ = { role: 'read' } as const

/** What the requests of one platform share. */
interface CollapseParts {
  readonly now: () => number
  readonly coordinator: ReturnType<typeof makeCoordinatorClient>
  readonly lock: RedisLock | undefined
  readonly uncacheable: ReturnType<typeof rememberUncacheable>
  readonly tiers: Tiers
}

function compileCollapse(platform: CollapsePlatform, redis: CacheRedis | undefined, tiers: Tiers): Collapse {
  const { now } = platform
  const coordinator = makeCoordinatorClient(platform)
  const lock = redis && makeRedisLock(redis, platform)
  const uncacheable = rememberUncacheable(now)
  const parts: CollapseParts = { now, coordinator, lock, uncacheable, tiers }
  return {
    async join(key, x, waitMs, hasRead = false) {
      if (uncacheable.has(key)) return ALONE
      const until = Math.min(now() + Math.min(waitMs, FETCH_LEASE_MS), x.deadline)
      const joining = joinFetch(parts, key, x, until, hasRead)
      const turn = await withTimeout(until - now(), () => joining)
      if (turn) return turn
      x.waitUntil(joining.then((late) => (late.role === 'lead' ? late.finish('failed') : undefined)))
      return ALONE
    },
    async lead(key, x) {
      const id = idOf(key)
      const joined = await coordinator.join(id, false, x)
      if (joined === undefined || joined === 'full') return { role: 'lead', finish: async () => {} }
      if (joined !== 'lead') return undefined
      const locked = await lock?.join(id, x.waitUntil)
      const lead = makeLead(parts, key, id, x, locked === 'lead')
      if (locked === undefined || locked === 'lead') return lead
      await lead.finish('failed')
      return undefined
    },
  }
}

async function joinFetch(
  parts: CollapseParts,
  key: string,
  x: CollapseExchange,
  until: number,
  hasRead: boolean,
): Promise<CollapseTurn> {
  const { now, coordinator, lock, tiers } = parts
  const id = idOf(key)
  const joined = await coordinator.join(id, hasRead, x)
  const result = joined === 'follow' ? await coordinator.wait(id, until - now(), x) : joined
  if (result === undefined || result === 'full') return ALONE
  if (result !== 'lead') return turnOf(parts, key, result)
  const locked = await lock?.join(id, x.waitUntil)
  if (locked === undefined || locked === 'full' || locked === 'lead')
    return makeLead(parts, key, id, x, locked === 'lead')
  // Redis holds the response that was of no use: this request fetches again and leads in this place alone.
  if (locked === 'stored' && hasRead) return makeLead(parts, key, id, x, false)
  const outcome = locked === 'follow' ? await lock!.wait(id, until - now(), x.waitUntil) : locked
  // The requests that wait here read what this one brings to the edge, so that they do not all call Redis. Otherwise this one leads them.
  const isDone = outcome === 'uncacheable' || (outcome === 'stored' && (await tiers.bring(key)))
  if (!isDone) return makeLead(parts, key, id, x, false)
  await coordinator.finish(id, outcome, x)
  return turnOf(parts, key, outcome)
}

/** `holdsLock`: whether this leader leads all places that share Redis. */
function makeLead(
  { coordinator, lock, uncacheable }: CollapseParts,
  key: string,
  id: string,
  x: CollapseExchange,
  holdsLock: boolean,
): FetchLead {
  let finished = false
  const finish = async (end: FetchEnd) => {
    if (finished) return
    finished = true
    const { near, far } = outcomesOf(end)
    const finishHere = async (outcome: FetchOutcome) => {
      if (outcome === 'uncacheable') uncacheable.add(key)
      await coordinator.finish(id, outcome, x)
    }
    await Promise.all([near.then(finishHere), holdsLock && lock && far.then((outcome) => lock.finish(id, outcome))])
  }
  return { role: 'lead', finish }
}

function turnOf({ uncacheable }: CollapseParts, key: string, outcome: Exclude<WaitResult, 'lead'>): CollapseTurn {
  if (outcome === 'uncacheable') uncacheable.add(key)
  return outcome === 'stored' ? READ : ALONE
}

/** How long requests wait for a body after its headers, in milliseconds. Later ones do not wait: the body may be endless. */
const LONGEST_BODY_MS = 1_000

/** The outcome for the requests that read the same edge tier (`near`), and for those that share only Redis (`far`). */
function outcomesOf(end: FetchEnd): { readonly near: Promise<FetchOutcome>; readonly far: Promise<FetchOutcome> } {
  if (typeof end === 'string') return { near: Promise.resolve(end), far: Promise.resolve(end) }
  // The next response would be too large as well.
  const lost = (): FetchOutcome => (end.isTooLarge() ? 'uncacheable' : 'failed')
  const storedIf = (isStored: boolean): FetchOutcome => (isStored ? 'stored' : lost())
  const near = withTimeout(LONGEST_BODY_MS, () => end.kept).then((isStored) =>
    isStored === undefined ? 'uncacheable' : storedIf(isStored),
  )
  const far = near.then((outcome) => (outcome === 'uncacheable' ? outcome : end.shared.then(storedIf)))
  return { near, far }
}

const idOf = (key: string) => createHash('sha256').update(key).digest('hex')

const MEMORY_MS = 10_000
const MAX_REMEMBERED = 5_000

/** Keeps keys for ten to twenty seconds, ten thousand at most, in two generations: no scan is needed to remove entries. */
function rememberUncacheable(now: () => number) {
  let [young, old] = [new Set<string>(), new Set<string>()]
  let turnedAt = now()
  const turn = () => {
    const age = Math.abs(now() - turnedAt)
    if (age < MEMORY_MS && young.size < MAX_REMEMBERED) return
    old = age < 2 * MEMORY_MS ? young : new Set()
    young = new Set()
    turnedAt = now()
  }
  return {
    add(key: string) {
      turn()
      young.add(key)
    },
    has(key: string) {
      turn()
      return young.has(key) || old.has(key)
    },
  }
}

type CoordinatorExchange = Pick<Exchange, 'request' | 'waitUntil'>

/** Objects in one data centre; each handles about 1,000 calls a second. */
const SHARDS = 16
/** The time of one call, in milliseconds; a new object takes longest. */
const TIMEOUT_MS = 500

/** The in-flight fetches of the data centre, or process, in which a request came in. After three failures in a row its objects are only probed. */
function makeCoordinatorClient({ cacheCoordinators, now }: Pick<Platform, 'cacheCoordinators' | 'now'>) {
  const health = makeStoreHealth(now, TIMEOUT_MS)
  const nameOf = (id: string, { request }: CoordinatorExchange) => {
    const colo = request.cf?.colo
    const shard = parseInt(id.slice(0, 2), 16) % SHARDS
    return `flights-${typeof colo === 'string' ? colo : 'local'}-${shard}`
  }
  const ask = <T>(id: string, x: CoordinatorExchange, call: (object: CacheCoordinatorApi) => Promise<T>, waitMs = 0) =>
    callObject(cacheCoordinators, nameOf(id, x), waitMs + TIMEOUT_MS, call)
  const probe = (id: string, x: CoordinatorExchange) => () => ask(id, x, (object) => object.wait('probe', 0))
  return {
    join: (id: string, hasRead: boolean, x: CoordinatorExchange) =>
      health.call<JoinResult>(() => ask(id, x, (object) => object.join(id, hasRead)), probe(id, x), x.waitUntil),
    // Longer than the wait itself: a caller that learns too late that it leads must report that it does not.
    wait: async (id: string, waitMs: number, x: CoordinatorExchange): Promise<WaitResult> =>
      (await ask(id, x, (object) => object.wait(id, waitMs), waitMs)) ?? 'over',
    finish: (id: string, outcome: FetchOutcome, x: CoordinatorExchange) =>
      health.call<true>(() => ask(id, x, (object) => object.finish(id, outcome)), probe(id, x), x.waitUntil),
  }
}
