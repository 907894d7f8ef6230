import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  makePurges,
  platformPurges,
  PURGES_OBJECT,
  type PurgePlatform,
  type Purges,
} from '../../src/cache/purge/purge-feed.ts'
import { askRedisPurges } from '../../src/cache/purge/purge-log.ts'
import type { PurgeOrder, PurgeStatus } from '../../src/cache/purge/purges.ts'
import { cacheRedis } from '../../src/cache/store/cache-redis.ts'
import { brokenCacheState, cachePlatform, ownCacheState } from '../support/cache-state.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { command, restartRedis, signalRedis, startRedis, type TestRedis } from '../support/redis.ts'

const URL = 'https://gw.test/users/7?page=2'
const entry = (requestTime: number) => ({ requestTime, url: URL, tags: ['users'] })
const tag = (value: string, mode: PurgeOrder['mode'] = 'hard') => ({ kind: 'tag', value, mode }) as const
const x = makeTestExchange()

let redis: TestRedis
beforeAll(async () => {
  // The first object loads the module, which takes its time here.
  await env.CACHE_STATE.getByName('first').purges(0, [])
  redis = await startRedis()
})

/** Until it knows all purges; a moment later, so that what is asked of the origin then is later than they are. */
async function caughtUp(...all: readonly Purges[]) {
  const later = entry(Number.MAX_SAFE_INTEGER)
  for (const purges of all) await becomes(purges, later, 'live')
  await pause(5)
}

/** Whoever is not up to date may say `validate` before; never anything milder. */
async function becomes(purges: Purges, head: ReturnType<typeof entry>, standing: PurgeStatus | 'stale') {
  const look = async () => {
    const found = await purges.standing(head, x)
    return typeof found === 'number' ? 'stale' : found
  }
  expect([standing, 'validate']).toContain(await look())
  await expect.poll(look, { interval: 20, timeout: 5_000 }).toBe(standing)
}

interface World {
  /** One more isolate: its purges, and its clock, which it may have run ahead. */
  readonly isolate: () => Purges & { ahead: number; calls: () => number }
}

function countCalls(
  platform: PurgePlatform,
  parts: Partial<PurgePlatform>,
): { platform: PurgePlatform; calls: () => number } {
  let calls = 0
  const cacheState = {
    getByName: (name: string) => {
      calls++
      return platform.cacheCoordinators.getByName(name)
    },
  } as PurgePlatform['cacheCoordinators']
  return { platform: { ...platform, cacheCoordinators: cacheState, ...parts }, calls: () => calls }
}

function world(store: 'objects' | 'redis'): World {
  const state = ownCacheState()
  return {
    isolate() {
      const clock = { ahead: 0 }
      const now = () => Date.now() + clock.ahead
      // Processes that share Redis share no objects.
      const own = cachePlatform(store === 'redis' ? ownCacheState() : state, store === 'redis' ? redis : undefined)
      const { platform, calls } = countCalls(own, { now })
      return Object.assign(clock, platformPurges(platform), { calls })
    },
  }
}

describe.each(['objects', 'redis'] as const)('purges in %s', (store) => {
  it('are in force at once where they are made, and within five seconds everywhere', async () => {
    const { isolate } = world(store)
    const [here, there] = [isolate(), isolate()]
    await caughtUp(here, there)
    const old = entry(Date.now())
    expect([here.ready(x), here.standing(old, x), there.standing(old, x)]).toEqual([undefined, 'live', 'live'])
    expect(await here.purge([tag('users'), tag('others')], x)).toBe(true)
    expect(here.standing(old, x)).toBe('gone')
    expect(there.standing(old, x)).toBe('live')
    there.ahead = 2_500
    // Asks in the background: whoever comes after the answer knows.
    expect(there.standing(old, x)).toBe('live')
    await x.settled()
    expect(there.standing(old, x)).toBe('gone')
    expect(there.standing(entry(Date.now() + 1_000), x)).toBe('live')
  })

  it('are asked for by the first request after an idle time', async () => {
    const { isolate } = world(store)
    const [here, idle] = [isolate(), isolate()]
    await caughtUp(here, idle)
    const old = entry(Date.now())
    await here.purge([tag('users', 'soft')], x)
    idle.ahead = 60_000
    await becomes(idle, old, 'stale')
    // A new isolate has been idle for ever.
    await becomes(isolate(), old, 'stale')
  })

  it('by an unsafe method are in force here at once and everywhere soon, in one write for many', async () => {
    const { isolate } = world(store)
    const [here, there] = [isolate(), isolate()]
    await caughtUp(here, there)
    const old = entry(Date.now())
    const before = here.calls()
    for (let i = 0; i < 50; i++) here.invalidate([`https://gw.test/users/${i}`, 'https://gw.test/users/7'], x)
    expect(here.standing(old, x)).toBe('validate')
    const since = Date.now() + 1
    await x.settled()
    if (store === 'objects') expect(here.calls() - before).toBeLessThanOrEqual(2)
    // Its own order that comes back does not reach what was fetched meanwhile.
    expect(here.standing(entry(since), x)).toBe('live')
    there.ahead = 6_000
    expect(await there.standing(old, x)).toBe('validate')
  })
})

it('is one write for a million entries, and no work for each', async () => {
  const purges = world('objects').isolate()
  await caughtUp(purges)
  const at = Date.now()
  const heads = Array.from({ length: 1_000 }, (_, i) => ({ ...entry(at), url: `https://gw.test/users/${i}` }))
  const before = purges.calls()
  expect(await purges.purge([tag('users')], x)).toBe(true)
  expect(purges.calls() - before).toBe(1)
  expect(new Set(heads.map((head) => purges.standing(head, x)))).toEqual(new Set(['gone']))
  expect(purges.calls() - before).toBe(1)
})

describe('a store that does not answer', () => {
  it.each([
    ['throws', async () => Promise.reject(new Error('down'))],
    ['hangs', () => new Promise<never>(() => {})],
    ['cannot say', async () => undefined],
  ])('(%s) makes nobody wait longer than a quarter of a second, once, and nothing live', async (_, call) => {
    const purges = platformPurges(cachePlatform(brokenCacheState(call)))
    const start = Date.now()
    await purges.ready(x)
    expect(await purges.standing(entry(start), x)).toBe('validate')
    expect(Date.now() - start).toBeLessThan(700)
    // Without a promise: nobody else waits.
    expect([purges.ready(x), purges.standing(entry(start), x)]).toEqual([undefined, 'validate'])
    expect(await purges.purge([tag('users')], x)).toBe(false)
  })

  it('does not bring back what is known to be purged', async () => {
    const state = ownCacheState()
    let down = false
    let ahead = 0
    const platform = cachePlatform(
      {
        getByName: (name: string) =>
          (down ? brokenCacheState(() => Promise.reject(new Error('down'))) : state).getByName(name),
      } as PurgePlatform['cacheCoordinators'],
      undefined,
      { now: () => Date.now() + ahead },
    )
    const purges = platformPurges(platform)
    await caughtUp(purges)
    const [old, other] = [entry(Date.now()), { ...entry(Date.now()), tags: [] }]
    await purges.purge([tag('users')], x)
    down = true
    purges.invalidate(['https://gw.test/elsewhere'], x)
    ahead = 10_000
    expect([await purges.standing(old, x), await purges.standing(other, x)]).toEqual(['gone', 'validate'])
    down = false
    ahead = 20_000
    await becomes(purges, other, 'live')
    expect(purges.standing(old, x)).toBe('gone')
    // What could not be told is told now.
    const told = await state.getByName(PURGES_OBJECT).purges(0, [])
    expect(told?.purges.map(({ value }) => value)).toContain('https://gw.test/elsewhere')
  })

  it('that has lost its memory, in which purges may have been, makes nothing live that was stored before', async () => {
    const own = await startRedis()
    let ahead = 0
    const purges = platformPurges(cachePlatform(ownCacheState(), own, { now: () => Date.now() + ahead }))
    await caughtUp(purges)
    const old = entry(Date.now())
    expect(purges.standing(old, x)).toBe('live')
    await restartRedis(own)
    ahead = 6_000
    expect(await purges.standing(old, x)).toBe('validate')
    expect(purges.standing(entry(Date.now() + 1_000), x)).toBe('live')
  })

  it('as a Redis that hangs: added wait is one store timeout, and it is heard again when it is back', async () => {
    const own = await startRedis()
    let ahead = 0
    const purges = platformPurges(cachePlatform(ownCacheState(), own, { now: () => Date.now() + ahead }))
    await caughtUp(purges)
    const old = entry(Date.now())
    await signalRedis(own.redisPid, 'SIGSTOP')
    ahead = 6_000
    const start = Date.now()
    expect(await purges.standing(old, x)).toBe('validate')
    expect(Date.now() - start).toBeLessThan(400)
    await signalRedis(own.redisPid, 'SIGCONT')
    ahead = 20_000
    await x.settled()
    await expect.poll(() => purges.standing(old, x), { interval: 50, timeout: 5_000 }).toBe('live')
  })
})

it('keeps to its bound in Redis too: what is forgotten purges everything up to its time', async () => {
  const own = await startRedis()
  const asked = cacheRedis(cachePlatform(ownCacheState(), own))!
  const ask = (cursor: number, ...orders: PurgeOrder[]) => askRedisPurges(asked, cursor, orders, x.waitUntil, 3)
  await ask(0, tag('a', 'soft'), tag('b', 'soft'), tag('c'))
  const { purges, last } = (await ask(0, tag('d'), tag('e'), tag('f g')))!
  expect(purges.map(({ value, mode }) => [value, mode])).toEqual([
    ['', 'soft'],
    ['', 'validate'],
    ['d', 'hard'],
    ['e', 'hard'],
    ['f g', 'hard'],
  ])
  expect(purges.slice(2).map(({ at }) => at)).toEqual([last - 2, last - 1, last])
  expect((await ask(last))!.purges).toEqual([])
  // Of another store that was ahead: everything again.
  expect((await ask(last + 1_000_000))!.purges).toEqual(purges)
})

it('asks a store that has begun anew for what came after its own last purge', async () => {
  const cursors: number[] = []
  const lasts = [5_000, 700, 800]
  const purges = makePurges(async (cursor) => {
    cursors.push(cursor)
    const at = lasts[cursors.length - 1]!
    return { purges: [{ ...tag('users'), at }], last: at, more: false }
  }, Date.now)
  for (const value of ['a', 'b', 'c']) await purges.purge([tag(value)], x)
  expect(cursors).toEqual([0, 5_000, 700])
})

it('is not fooled by what is no answer', async () => {
  const own = await startRedis()
  const asked = cacheRedis(cachePlatform(ownCacheState(), own))!
  await command(own, 'SET', 'umbral:purges', 'text')
  expect(await askRedisPurges(asked, 0, [], x.waitUntil)).toBeUndefined()
})

const pause = (ms: number) => new Promise((passed) => setTimeout(passed, ms))
