import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FoundResponse } from '../../src/cache/store/tiers.ts'
import { command, countAsked, restartRedis, setFault, startRedis, type TestRedis } from '../support/redis.ts'
import { bytesOf, FAR_AWAY, head, isolate, newKey, readAll, streamOf } from '../support/tiers.ts'

describe('Redis', () => {
  let redis: TestRedis
  beforeAll(async () => {
    redis = await startRedis()
  })
  afterEach(() => setFault(redis, 'none'))
  /** A machine that is busy elsewhere can keep a healthy Redis from answering in time, once. */
  const eventually = (ask: () => Promise<unknown>) => expect.poll(ask, { timeout: 5_000 })

  it('has for other data centres what one has stored, and brings it to their edge', async () => {
    const [key, bytes] = [newKey(), bytesOf(300_000)]
    const there = isolate(redis, { edgeCache: FAR_AWAY })
    expect(await there.keep(key, { head: head({ tags: ['ü'] }), body: streamOf(bytes) })).toBe(true)
    const here = isolate(redis)
    await there.settled()
    let found: FoundResponse | undefined
    await eventually(async () => (found = await here.read(key))).toBeDefined()
    expect(found).toMatchObject({ tier: 'redis', head: head({ tags: ['ü'] }) })
    expect(await readAll(found!.body)).toEqual(bytes)
    await here.settled()
    await restartRedis(redis)
    const near = await here.read(key)
    expect(near).toMatchObject({ tier: 'edge', head: head({ tags: ['ü'] }) })
    expect(await readAll(near!.body)).toEqual(bytes)
  })

  it('keeps an entry as long as keepUntil says, and drops it for all', async () => {
    const key = newKey()
    const there = isolate(redis, { edgeCache: FAR_AWAY })
    await there.keep(key, { head: head({ keepUntil: Date.now() + 30_000 }), body: null })
    await there.settled()
    const left = Number(await command(redis, 'PTTL', `umbral:cache:${key}`))
    expect(left).toBeGreaterThan(25_000)
    expect(left).toBeLessThanOrEqual(30_000)
    await eventually(() => there.has(key)).toBe('redis')
    expect(await there.drop(key)).toBe(true)
    expect(await there.has(key)).toBeUndefined()
  })

  it('takes entries up to 1 MiB as they are sent; larger ones stay at the edge', async () => {
    const [small, large, here] = [newKey(), newKey(), isolate(redis)]
    const most = (1024 ** 2 / 4) * 3
    await here.keep(small, { head: head(), body: streamOf(bytesOf(most - 1_000)) })
    await here.keep(large, { head: head(), body: streamOf(bytesOf(most)) })
    await here.settled()
    const sizes = [small, large].map((key) => command(redis, 'STRLEN', `umbral:cache:${key}`).then(Number))
    const [smallSize, largeSize] = await Promise.all(sizes)
    expect(smallSize).toBeGreaterThan(1024 ** 2 - 2_000)
    expect(smallSize).toBeLessThanOrEqual(1024 ** 2)
    expect(largeSize).toBe(0)
    expect(await here.has(large)).toBe('edge')
  })

  it.each(['no head', '{"v":1}\n0\n', 'whole\n3\nAAA', 'whole\n4\nAAAA', 'whole\n3\n', 'whole\n3', 'whole\n3\n!!!!'])(
    'reads %j as a miss',
    async (text) => {
      const entry = text.replace('whole', JSON.stringify(head()))
      await command(redis, 'SET', 'umbral:cache:broken', entry)
      expect(await isolate(redis, { edgeCache: FAR_AWAY }).has('broken')).toBeUndefined()
      await command(redis, 'SET', 'umbral:cache:whole', `${JSON.stringify(head())}\n3\nAAAA`)
      const intact = isolate(redis, { edgeCache: FAR_AWAY })
      await eventually(() => intact.has('whole')).toBe('redis')
    },
  )

  it.each([
    'LOADING',
    'a 401',
    'a 500',
    'HTML in a 200',
    'an empty 200',
    'OK for a result',
    'half an answer',
    'a closed connection',
  ])('is a miss when it answers with %s', async (fault) => {
    const [key, there] = [newKey(), isolate(redis, { edgeCache: FAR_AWAY })]
    await there.keep(key, { head: head(), body: null })
    await there.settled()
    await setFault(redis, fault)
    expect(await there.has(key)).toBeUndefined()
    await setFault(redis, 'none')
    await eventually(() => there.has(key)).toBe('redis')
  })

  it('that hangs is asked three times, then rests, and is used again when it answers', async () => {
    // It stands still, so that no probe falls due unseen.
    let now = Date.now()
    const there = isolate(redis, { edgeCache: FAR_AWAY, now: () => now })
    const key = newKey()
    await there.keep(key, { head: head(), body: null })
    await there.settled()
    await setFault(redis, 'hang')
    const written = Date.now()
    expect(await there.keep(key, { head: head(), body: null })).toBe(true)
    // Nobody waits the second that a write may take.
    expect(Date.now() - written).toBeLessThan(900)
    await there.settled()
    const before = await countAsked(redis)
    const started = Date.now()
    for (let i = 0; i < 3; i++) expect(await there.has(key)).toBeUndefined()
    expect(Date.now() - started).toBeGreaterThanOrEqual(290)
    expect(there.tiers.degraded()).toBe('upstash')
    const rested = Date.now()
    for (let i = 0; i < 20; i++) expect(await there.has(key)).toBeUndefined()
    expect(await there.keep(key, { head: head(), body: streamOf(bytesOf(10)) })).toBe(true)
    expect(await there.drop(key)).toBe(false)
    // One wait for the store would be 100 ms each.
    expect(Date.now() - rested).toBeLessThan(1_500)
    expect((await countAsked(redis)) - before).toBe(3)
    await setFault(redis, 'none')
    now += 1_000
    await there.has(key)
    await there.settled()
    expect(there.tiers.degraded()).toBeUndefined()
    await eventually(() => there.has(key)).toBe('redis')
  })
})
