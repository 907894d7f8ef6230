import { Redis } from '@upstash/redis/cloudflare'
import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  makeCollapse,
  type Collapse,
  type CollapseTurn,
  type FetchEnd,
  type FetchOutcome,
} from '../../src/cache/collapse/collapse.ts'
import { makeRedisTier, type CacheRedis } from '../../src/cache/store/cache-redis.ts'
import { encodeHead } from '../../src/cache/store/codec.ts'
import type { Platform } from '../../src/core/platform.ts'
import { brokenCacheState, cachePlatform, ownCacheState } from '../support/cache-state.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { signalRedis, startRedis, type TestRedis } from '../support/redis.ts'
import { head } from '../support/tiers.ts'

const KEY = 'https://gw.test/users/7'
const NEVER = Date.now() + 60_000
const pause = (ms: number) => new Promise((passed) => setTimeout(passed, ms))

// The first object loads the module, which takes its time here.
beforeAll(async () => void (await env.CACHE_STATE.getByName('first').join('key')))

/** One isolate. */
const isolate = (state = ownCacheState(), redis?: TestRedis, parts: Parameters<typeof cachePlatform>[2] = {}) =>
  makeCollapse(cachePlatform(state, redis, parts))

/** Two processes and their clients share one thread here, which may be busy for longer than anything would wait for Redis. */
function patient({ url, token }: TestRedis): CacheRedis {
  const redis = new Redis({ url, token, responseEncoding: false, enableAutoPipelining: false })
  return { ask: (send) => send(redis), tell: (send) => send(redis), failing: () => false }
}

const stored = (isShared: boolean): FetchEnd => ({
  kept: Promise.resolve(true),
  shared: Promise.resolve(isShared),
  isTooLarge: () => false,
})

/** The edge of one process, which others do not see. */
function ownEdge() {
  const held = new Set<string>()
  const edgeCache: Platform['edgeCache'] = {
    match: () => Promise.resolve(undefined),
    put: async (url) => {
      await pause(30)
      held.add(url)
    },
    delete: async (url) => held.delete(url),
  }
  return { edgeCache, held }
}

/** Misses that come at once; whoever leads takes `workMs` over it, and those who are alone are counted too. */
async function misses(
  collapses: readonly Collapse[],
  count: number,
  workMs: number,
  ending: FetchEnd | 'stored',
  looked: (process: number) => void = () => {},
) {
  const roles: Record<CollapseTurn['role'], number> = { lead: 0, read: 0, alone: 0 }
  const one = async (_: unknown, i: number) => {
    const x = makeTestExchange()
    const turn = await collapses[i % collapses.length]!.join(KEY, x, 3_000)
    roles[turn.role]++
    if (turn.role === 'read') looked(i % collapses.length)
    if (turn.role !== 'lead') return
    await pause(workMs)
    await turn.finish(ending === 'stored' ? stored(true) : ending)
  }
  await Promise.all(Array.from({ length: count }, one))
  return roles
}

describe('two hundred misses of one key', () => {
  it('are one origin request from one isolate', async () => {
    expect(await misses([isolate()], 200, 50, 'stored')).toEqual({ lead: 1, read: 199, alone: 0 })
  })

  it('are one origin request from several isolates of a data centre', async () => {
    const state = ownCacheState()
    const isolates = [isolate(state), isolate(state), isolate(state)]
    expect(await misses(isolates, 200, 50, 'stored')).toEqual({ lead: 1, read: 199, alone: 0 })
  })

  it('are one origin request from several processes that share Redis', async () => {
    const redis = patient(await startRedis())
    const edges = [ownEdge(), ownEdge()]
    const processes = edges.map(({ edgeCache }) =>
      makeCollapse(cachePlatform(ownCacheState(), undefined, { edgeCache }), redis),
    )
    // What the leader would have stored.
    await makeRedisTier(redis, Date.now).write(KEY, encodeHead(head())!, new Uint8Array([1]), Date.now() + 60_000)
    const found = [0, 0]
    const look = (process: number) => void (found[process]! += edges[process]!.held.size)
    expect(await misses(processes, 200, 150, 'stored', look)).toEqual({ lead: 1, read: 199, alone: 0 })
    // Those of the process that has not led find it at their own edge, all of them.
    expect(found.toSorted((a, b) => a - b)).toEqual([0, 100])
  })

  it('are one origin request although Redis answers the one who leads too late', async () => {
    const redis = patient(await startRedis())
    let answers = 0
    const late: CacheRedis = {
      ...redis,
      ask: async (send, waitUntil) => {
        const answer = await redis.ask(send, waitUntil)
        return answers++ === 0 ? undefined : answer
      },
    }
    const [first, second] = [late, redis].map((one) => makeCollapse(cachePlatform(ownCacheState()), one))
    const turn = await first!.join(KEY, makeTestExchange(), 1_000)
    expect(turn.role).toBe('lead')
    await makeRedisTier(redis, Date.now).write(KEY, encodeHead(head())!, new Uint8Array([1]), Date.now() + 60_000)
    const waiting = second!.join(KEY, makeTestExchange(), 3_000)
    await pause(30)
    if (turn.role === 'lead') await turn.finish(stored(true))
    expect(await waiting).toEqual({ role: 'read' })
  })

  it('are one for each process when what was stored is too large for Redis', async () => {
    const redis = patient(await startRedis())
    const processes = [1, 2].map(() => makeCollapse(cachePlatform(ownCacheState()), redis))
    expect(await misses(processes, 100, 50, stored(false))).toEqual({ lead: 2, read: 98, alone: 0 })
  })

  it('are one for each data centre without Redis, for none reads what another has', async () => {
    const state = ownCacheState()
    const from = (colo: string) => {
      const request = new Request(KEY, { cf: { colo } as RequestInitCfProperties })
      return isolate(state).join(KEY, makeTestExchange(request), 100)
    }
    const turns = await Promise.all([from('FRA'), from('SIN')])
    expect(turns.map(({ role }) => role)).toEqual(['lead', 'lead'])
  })
})

it('sends those who looked just before it was stored to the store', async () => {
  const one = isolate()
  expect(await misses([one], 1, 0, 'stored')).toMatchObject({ lead: 1 })
  expect(await one.join(KEY, makeTestExchange(), 1_000)).toEqual({ role: 'read' })
})

describe('who has read in vain', () => {
  it.each([false, true])('leads, and others follow; with Redis: %s', async (withRedis) => {
    const redis = withRedis ? patient(await startRedis()) : undefined
    const one = makeCollapse(cachePlatform(ownCacheState()), redis)
    if (redis) await makeRedisTier(redis, Date.now).write(KEY, encodeHead(head())!, new Uint8Array([1]), NEVER)
    expect(await misses([one], 1, 0, 'stored')).toMatchObject({ lead: 1 })
    expect(await one.join(KEY, makeTestExchange(), 1_000)).toEqual({ role: 'read' })
    const again = await one.join(KEY, makeTestExchange(), 1_000, true)
    expect(again).toMatchObject({ role: 'lead' })
    const following = one.join(KEY, makeTestExchange(), 3_000, true)
    await pause(30)
    if (again.role === 'lead') await again.finish(stored(true))
    expect(await following).toEqual({ role: 'read' })
  })
})

describe('a leader', () => {
  it('is not one who has heard too late that he is', async () => {
    const state = ownCacheState()
    const late = {
      getByName: (name: string) => {
        const object = state.getByName(name)
        const wait = (id: string, ms: number) => object.wait(id, ms).then(async (told) => (await pause(300), told))
        const join = (id: string) => object.join(id)
        const finish = (id: string, outcome: FetchOutcome) => object.finish(id, outcome)
        return { join, finish, wait }
      },
    } as unknown as typeof state
    const first = await isolate(state).join(KEY, makeTestExchange(), 1_000)
    const tooLate = isolate(late).join(KEY, makeTestExchange(), 200)
    await pause(50)
    const other = isolate(state).join(KEY, makeTestExchange(), 3_000)
    await pause(50)
    if (first.role === 'lead') await first.finish('failed')
    expect(await tooLate).toEqual({ role: 'alone' })
    expect(await other).toMatchObject({ role: 'lead' })
  })

  it('who fails is followed by another one, whom the others wait for', async () => {
    const one = isolate()
    const first = await one.join(KEY, makeTestExchange(), 1_000)
    const others = misses([one], 30, 50, 'stored')
    await pause(50)
    if (first.role === 'lead') await first.finish('failed')
    expect(await others).toEqual({ lead: 1, read: 29, alone: 0 })
  })

  it('who fails as all do holds up nobody for long, and the next one leads', async () => {
    const one = isolate()
    // Of 19: one, two, four, eight, and the rest.
    expect(await misses([one], 20, 20, 'failed')).toEqual({ lead: 6, read: 0, alone: 14 })
    expect(await one.join(KEY, makeTestExchange(), 1_000)).toMatchObject({ role: 'lead' })
  })

  it('who never comes back makes nobody wait longer than he said, or than his own deadline', async () => {
    const one = isolate()
    expect(await one.join(KEY, makeTestExchange(), 1_000)).toMatchObject({ role: 'lead' })
    const waited = async (waitMs: number, deadline: number) => {
      const start = Date.now()
      expect(await one.join(KEY, makeTestExchange(undefined, { deadline }), waitMs)).toEqual({ role: 'alone' })
      return Date.now() - start
    }
    const [own, deadline] = await Promise.all([waited(100, Infinity), waited(60_000, Date.now() + 150)])
    expect(own).toBeGreaterThanOrEqual(90)
    expect(own).toBeLessThan(1_000)
    expect(deadline).toBeLessThan(1_000)
  })

  it('far away who never comes back leaves one leader in each process', async () => {
    const redis = patient(await startRedis())
    const [there, here] = [1, 2].map(() => makeCollapse(cachePlatform(ownCacheState()), redis))
    expect(await there!.join(KEY, makeTestExchange(), 1_000)).toMatchObject({ role: 'lead' })
    const start = Date.now()
    const turns = await Promise.all([1, 2, 3].map(() => here!.join(KEY, makeTestExchange(), 200)))
    expect(turns.map(({ role }) => role)).toEqual(['alone', 'alone', 'alone'])
    expect(Date.now() - start).toBeLessThan(1_500)
  })

  it('is heard once', async () => {
    const state = ownCacheState()
    const [one, two] = [isolate(state), isolate(state)]
    const turn = await one.join(KEY, makeTestExchange(), 100)
    if (turn.role !== 'lead') throw new Error('no lead')
    await turn.finish(stored(true))
    await turn.finish('failed')
    expect(await two.join(KEY, makeTestExchange(), 100)).toEqual({ role: 'read' })
  })
})

it('does not collapse for a while what cannot be stored', async () => {
  let ahead = 0
  let calls = 0
  const state = ownCacheState()
  const counted = {
    getByName: (name: string) => {
      calls++
      return state.getByName(name)
    },
  } as typeof state
  const one = isolate(counted, undefined, { now: () => Date.now() + ahead })
  expect(await misses([one], 50, 20, 'uncacheable')).toEqual({ lead: 1, read: 0, alone: 49 })
  const before = calls
  expect(await misses([one], 50, 20, 'uncacheable')).toEqual({ lead: 0, read: 0, alone: 50 })
  expect(calls).toBe(before)
  // Another isolate hears it from the object, and remembers it too.
  const other = isolate(counted)
  expect(await other.join(KEY, makeTestExchange(), 1_000)).toEqual({ role: 'alone' })
  ahead = 30_000
  await pause(600)
  expect(await one.join(KEY, makeTestExchange(), 1_000)).toMatchObject({ role: 'lead' })
})

it('remembers a bounded number of such keys', async () => {
  const one = isolate(brokenCacheState(async () => 'uncacheable'))
  for (let i = 0; i < 12_000; i++) await one.join(`k${i}`, makeTestExchange(), 100)
  const calls: number[] = []
  const asked = isolate(
    brokenCacheState(async () => {
      calls.push(1)
      return 'uncacheable'
    }),
  )
  for (let i = 0; i < 12_000; i++) await asked.join(`k${i}`, makeTestExchange(), 100)
  await asked.join('k11999', makeTestExchange(), 100)
  expect(calls.length).toBe(12_000)
  await asked.join('k0', makeTestExchange(), 100)
  expect(calls.length).toBe(12_001)
})

describe('a store that does not answer', () => {
  it.each([
    ['throws', async () => Promise.reject(new Error('down'))],
    ['hangs', () => new Promise<never>(() => {})],
  ])('(%s) makes nobody wait for longer than its timeout, and soon not at all', async (_, call) => {
    const one = isolate(brokenCacheState(call))
    const start = Date.now()
    for (let i = 0; i < 3; i++)
      expect(await one.join(`${KEY}${i}`, makeTestExchange(), 5_000)).toEqual({ role: 'alone' })
    expect(Date.now() - start).toBeLessThan(2_500)
    const rested = Date.now()
    expect(await one.join(KEY, makeTestExchange(), 5_000)).toEqual({ role: 'alone' })
    expect(Date.now() - rested).toBeLessThan(100)
  })

  it('leaves one leader in each process when it is Redis', async () => {
    const redis = await startRedis()
    await signalRedis(redis.redisPid, 'SIGSTOP')
    const one = isolate(undefined, redis)
    expect(await misses([one], 50, 50, 'stored')).toEqual({ lead: 1, read: 49, alone: 0 })
  })
})

describe('a refresh in the background', () => {
  it('is done by one, who tells those who miss meanwhile', async () => {
    const state = ownCacheState()
    const [one, two] = [isolate(state), isolate(state)]
    const leads = await Promise.all([1, 2, 3].map((i) => (i % 2 ? one : two).lead(KEY, makeTestExchange())))
    const lead = leads.filter((found) => found !== undefined)
    expect(lead.length).toBe(1)
    const missed = two.join(KEY, makeTestExchange(), 3_000)
    await pause(20)
    await lead[0]!.finish(stored(true))
    expect(await missed).toEqual({ role: 'read' })
    // It has just been done.
    expect(await one.lead(KEY, makeTestExchange())).toBeUndefined()
  })

  it('is done by one of several processes that share Redis', async () => {
    const redis = patient(await startRedis())
    const processes = [1, 2].map(() => makeCollapse(cachePlatform(ownCacheState()), redis))
    const leads = await Promise.all(processes.map((one) => one.lead(KEY, makeTestExchange())))
    expect(leads.filter((found) => found !== undefined).length).toBe(1)
  })

  it('is done without a store too', async () => {
    const one = isolate(brokenCacheState(async () => Promise.reject(new Error('down'))))
    const lead = await one.lead(KEY, makeTestExchange())
    expect(lead).toMatchObject({ role: 'lead' })
    await lead!.finish(stored(true))
  })
})
