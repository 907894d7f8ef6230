import { createHash } from 'node:crypto'
import { callObject } from '../../core/durable-object.ts'
import type { Exchange } from '../../core/exchange.ts'
import { perPlatform, type Platform } from '../../core/platform.ts'
import { makeStoreHealth } from '../../lib/store-health.ts'
import { withTimeout } from '../../lib/time.ts'
import { cacheRedis, type CacheRedis } from '../store/cache-redis.ts'
import { makeTiers, type Keeping, type Tiers } from '../store/tiers.ts'
import { FETCH_LEASE_MS, type FetchOutcome, type JoinResult, type WaitResult } from './in-flight-fetches.ts'
import { makeRedisLock } from './redis-lock.ts'

export type { FetchOutcome } from './in-flight-fetches.ts'

/** Whoever asks the origin for all. */
export interface FetchLead {
  readonly role: 'lead'
  /** Never rejects; the first call counts. Keep it alive in `waitUntil`. */
  readonly finish: (ending: FetchEnd) => Promise<void>
}

/** How a leader's work ends: with what is being stored, of which others hear once they can read it, or with nothing. */
export type FetchEnd = Keeping | Exclude<FetchOutcome, 'stored'>

/**
 * What to do about a miss. `read`: another one has stored it, read it; when it is of no use, join once more, and go on as `alone` after that.
 * `alone`: ask the origin and tell nobody.
 */
export type CollapseTurn = FetchLead | { readonly role: 'read' } | { readonly role: 'alone' }

/** The part of an exchange that collapsing needs. */
export type CollapseExchange = Pick<Exchange, 'request' | 'deadline' | 'waitUntil'>

/** Makes one origin request of many misses of one key. */
export interface Collapse {
  /**
   * Waits for whoever leads, `waitMs` milliseconds at most and never past `x.deadline`. `hasRead` once what an earlier turn has said to read
   * was of no use: purged, expired, or another variant. Never rejects.
   */
  readonly join: (key: string, x: CollapseExchange, waitMs: number, hasRead?: boolean) => Promise<CollapseTurn>
  /** For work that nobody waits for, such as a refresh: undefined while another one does it, or has just done it. Never rejects. */
  readonly lead: (key: string, x: CollapseExchange) => Promise<FetchLead | undefined>
}

/** The part of `Platform` that this needs. */
export type CollapsePlatform = Pick<
  Platform,
  'now' | 'random' | 'variable' | 'secret' | 'cacheCoordinators' | 'edgeCache'
>

/**
 * The collapsing of a platform, which its routes share. Isolates of one data centre or process agree through Durable Objects, because they
 * read the same edge tier; with Redis, which all can read, the leaders of all places agree on one leader through a lock.
 */
export const makeCollapse = perPlatform(
  (platform: CollapsePlatform, redis: CacheRedis | undefined = cacheRedis(platform)) =>
    compileCollapse(platform, redis, makeTiers(platform, redis)),
)

const ALONE = { role: 'alone' } as const
const READ = { role: 'read' } as const

function compileCollapse(platform: CollapsePlatform, redis: CacheRedis | undefined, tiers: Tiers): Collapse {
  const { now } = platform
  const here = makeCoordinatorClient(platform)
  const world = redis && makeRedisLock(redis, platform)
  const uncacheable = rememberUncacheable(now)

  const leadOf = (key: string, id: string, x: CollapseExchange, isWorld: boolean): FetchLead => {
    let finished = false
    const finish = async (ending: FetchEnd) => {
      if (finished) return
      finished = true
      const { near, far } = outcomesOf(ending)
      const tellHere = async (outcome: FetchOutcome) => {
        if (outcome === 'uncacheable') uncacheable.add(key)
        await here.finish(id, outcome, x)
      }
      await Promise.all([near.then(tellHere), isWorld && world && far.then((outcome) => world.finish(id, outcome))])
    }
    return { role: 'lead', finish }
  }
  const turnOf = (key: string, outcome: Exclude<WaitResult, 'lead'>): CollapseTurn => {
    if (outcome === 'uncacheable') uncacheable.add(key)
    return outcome === 'stored' ? READ : ALONE
  }
  const run = async (key: string, x: CollapseExchange, until: number, hasRead: boolean): Promise<CollapseTurn> => {
    const id = idOf(key)
    const place = await here.join(id, hasRead, x)
    const told = place === 'follow' ? await here.wait(id, until - now(), x) : place
    if (told === undefined || told === 'full') return ALONE
    if (told !== 'lead') return turnOf(key, told)
    const far = await world?.join(id, x.waitUntil)
    if (far === undefined || far === 'full' || far === 'lead') return leadOf(key, id, x, far === 'lead')
    // What Redis has is what has been read; who fetches it anew leads here alone.
    if (far === 'stored' && hasRead) return leadOf(key, id, x, false)
    const outcome = far === 'follow' ? await world!.wait(id, until - now(), x.waitUntil) : far
    // Those who wait here read what this one has brought, and do not all turn to Redis at once. Without that, this one leads them.
    const isDone = outcome === 'uncacheable' || (outcome === 'stored' && (await tiers.bring(key)))
    if (!isDone) return leadOf(key, id, x, false)
    await here.finish(id, outcome, x)
    return turnOf(key, outcome)
  }

  return {
    async join(key, x, waitMs, hasRead = false) {
      if (uncacheable.has(key)) return ALONE
      const until = Math.min(now() + Math.min(waitMs, FETCH_LEASE_MS), x.deadline)
      const running = run(key, x, until, hasRead)
      const turn = await withTimeout(until - now(), () => running)
      if (turn) return turn
      x.waitUntil(running.then((late) => (late.role === 'lead' ? late.finish('failed') : undefined)))
      return ALONE
    },
    async lead(key, x) {
      const id = idOf(key)
      const place = await here.join(id, false, x)
      if (place === undefined || place === 'full') return { role: 'lead', finish: async () => {} }
      if (place !== 'lead') return undefined
      const far = await world?.join(id, x.waitUntil)
      const lead = leadOf(key, id, x, far === 'lead')
      if (far === undefined || far === 'lead') return lead
      await lead.finish('failed')
      return undefined
    },
  }
}

/** What those hear who read the same edge, and those who share only Redis. */
function outcomesOf(ending: FetchEnd): { readonly near: Promise<FetchOutcome>; readonly far: Promise<FetchOutcome> } {
  if (typeof ending === 'string') return { near: Promise.resolve(ending), far: Promise.resolve(ending) }
  // The next one would be too large as well.
  const lost = (): FetchOutcome => (ending.isTooLarge() ? 'uncacheable' : 'failed')
  const storedIf = (isStored: boolean): FetchOutcome => (isStored ? 'stored' : lost())
  return { near: ending.kept.then(storedIf), far: ending.shared.then(storedIf) }
}

const idOf = (key: string) => createHash('sha256').update(key).digest('hex')

const MEMORY_MS = 10_000
const MAX_REMEMBERED = 5_000

/** Keys for ten to twenty seconds, ten thousand at most, in two generations: nothing is ever looked for to be forgotten. */
export function rememberUncacheable(now: () => number) {
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

type Asking = Pick<Exchange, 'request' | 'waitUntil'>

/** Objects in one data centre; each handles about 1,000 calls a second. */
const SHARDS = 16
/** The time of one call, in milliseconds; a new object takes longest. */
const TIMEOUT_MS = 500

/** The in-flight fetches of the data centre, or process, in which a request came in. After three failures in a row its objects are only probed. */
export function makeCoordinatorClient({ cacheCoordinators, now }: Pick<Platform, 'cacheCoordinators' | 'now'>) {
  const health = makeStoreHealth(now, TIMEOUT_MS)
  const nameOf = (id: string, { request }: Asking) => {
    const colo = request.cf?.colo
    const shard = parseInt(id.slice(0, 2), 16) % SHARDS
    return `flights-${typeof colo === 'string' ? colo : 'local'}-${shard}`
  }
  const stub = (id: string, x: Asking) => cacheCoordinators.getByName(nameOf(id, x))
  const probe = (id: string, x: Asking) => async () => await stub(id, x).wait('probe', 0)
  return {
    join: (id: string, hasRead: boolean, x: Asking) =>
      health.ask<JoinResult>(async () => await stub(id, x).join(id, hasRead), probe(id, x), x.waitUntil),
    // Later than the wait itself: a caller that learns too late that it leads has to say that it does not.
    wait: async (id: string, waitMs: number, x: Asking): Promise<WaitResult> =>
      (await callObject(cacheCoordinators, nameOf(id, x), waitMs + TIMEOUT_MS, (object) => object.wait(id, waitMs))) ??
      'over',
    finish: (id: string, outcome: FetchOutcome, x: Asking) =>
      health.ask<true>(async () => await stub(id, x).finish(id, outcome), probe(id, x), x.waitUntil),
  }
}
