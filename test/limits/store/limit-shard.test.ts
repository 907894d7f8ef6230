import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { LimiterSpec, ShardTake } from '../../../src/limits/limiter.ts'
import type { LimitShard } from '../../../src/limits/store/limit-shard.ts'

let made = 0
const makeShard = () => env.LIMITS.get(env.LIMITS.idFromName(`test-${made++}`))
const ask = (key: string, { cost = 1, ...spec }: Partial<LimiterSpec & { cost: number }> = {}): ShardTake => ({
  key,
  spec: { name: 'n', limit: 3, windowMs: 60_000, ...spec },
  ask: { want: cost, atLeast: cost },
})
const countRows = (shard: DurableObjectStub<LimitShard>) =>
  runInDurableObject(shard, (_, state) => state.storage.sql.exec('SELECT * FROM takes').toArray().length)

it('never admits more than the limit in a window of its own clock, and everything while there is room', async () => {
  const steps = fc.array(
    fc.record({ key: fc.constantFrom('a', 'b'), waitMs: fc.nat(700), cost: fc.integer({ min: 1, max: 3 }) }),
    { maxLength: 40 },
  )
  await runInDurableObject(makeShard(), (shard) => {
    let now = 0
    let run = 0
    shard.now = () => now
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 6 }), (asks, limit) => {
        run++
        const used = new Map<string, number>()
        for (const { key, waitMs, cost } of asks) {
          now += waitMs
          const id = `${key} ${Math.floor(now / 1_000)}`
          const before = used.get(id) ?? 0
          const verdict = shard.take(ask(`${run} ${key}`, { cost, limit, windowMs: 1_000 }))!
          expect(verdict.granted).toBe(before + cost <= limit ? cost : 0)
          if (verdict.granted) used.set(id, before + cost)
          expect(verdict.remaining).toBe(limit - (used.get(id) ?? 0))
          expect(verdict.resetMs).toBe(1_000 - (now % 1_000))
        }
      }),
      { numRuns: 40 },
    )
  })
})

it('keeps its counts when the object is evicted', async () => {
  const shard = makeShard()
  expect((await shard.take(ask('a')))?.remaining).toBe(2)
  await evictDurableObject(shard)
  expect((await shard.take(ask('a')))?.remaining).toBe(1)
})

it('deletes the rows of past windows by an alarm, and has none when nothing is left', async () => {
  const shard = makeShard()
  await shard.take(ask('short', { windowMs: 1_000 }))
  await shard.take(ask('long', { windowMs: 86_400_000 }))
  expect(await countRows(shard)).toBe(2)
  await runInDurableObject(shard, (instance) => {
    instance.now = () => Date.now() + 5_000
  })
  expect(await runDurableObjectAlarm(shard)).toBe(true)
  expect(await countRows(shard)).toBe(1)
  await runInDurableObject(shard, (instance) => {
    instance.now = () => Date.now() + 2 * 86_400_000
  })
  expect(await runDurableObjectAlarm(shard)).toBe(true)
  expect(await countRows(shard)).toBe(0)
  expect(await runDurableObjectAlarm(shard)).toBe(false)
})

it('counts keys beyond its cap in one bucket of their limiter, and makes room when windows have ended', async () => {
  const shard = makeShard()
  let now = 1_000_000_000
  await runInDurableObject(shard, (instance) => {
    instance.maxRows = 2
    instance.now = () => now
  })
  expect((await shard.take(ask('a')))?.overflowed).toBe(false)
  expect((await shard.take(ask('b')))?.overflowed).toBe(false)
  const beyond = await Promise.all(['c', 'd', 'e', 'f'].map((key) => shard.take(ask(key))))
  expect(beyond.map((verdict) => verdict?.overflowed)).toEqual([true, true, true, true])
  expect(beyond.map((grant) => grant?.granted)).toEqual([1, 1, 1, 0])
  expect((await shard.take(ask('g', { name: 'm' })))?.granted).toBe(1)
  expect(await countRows(shard)).toBe(4)
  now += 60_000
  expect(await shard.take(ask('c'))).toMatchObject({ overflowed: false, remaining: 2 })
})

it('answers undefined, and does not throw, when its storage fails', async () => {
  const shard = makeShard()
  await runInDurableObject(shard, (_, state) => void state.storage.sql.exec('DROP TABLE takes'))
  expect(await shard.take(ask('a'))).toBeUndefined()
})

it('keeps buckets as the isolates do, beside windows, until they are full', async () => {
  const shard = makeShard()
  await runInDurableObject(shard, (object) => {
    let now = 1_000_000
    object.now = () => now
    const bucket = (key: string) => object.take(ask(key, { limit: 5, burst: 2 }))!
    expect([bucket('a'), bucket('a'), bucket('a')].map(({ granted }) => granted)).toEqual([1, 1, 0])
    expect(object.take(ask('w'))).toMatchObject({ granted: 1 })
    now += 18_000
    // A token and a half have come back: the half is kept too.
    expect(bucket('a')).toMatchObject({ granted: 1, remaining: 0, resetMs: 6_000 })
    now += 24_000
    expect(object.take(ask('other', { limit: 5, burst: 2 }))).toMatchObject({ granted: 1 })
  })
  expect(await countRows(shard)).toBe(3)
})

it('keeps a sliding window in one row, over an eviction too, in at most 16 KB', async () => {
  const shard = makeShard()
  const sliding = { algorithm: 'sliding-window', limit: 1_000, windowMs: 2_000 } as const
  let now = 1_000_000_000
  const setClock = () => runInDurableObject(shard, (object) => void (object.now = () => now))
  await runInDurableObject(shard, (object, { storage }) => {
    object.now = () => now
    for (let i = 0; i < 1_000; i++) {
      expect(object.take(ask('a', sliding))).toMatchObject({ granted: 1, remaining: 999 - i })
      now++
    }
    const { bytes } = storage.sql.exec<{ bytes: number }>('SELECT LENGTH(marks) AS bytes FROM takes').one()
    expect(bytes).toBe(16_000)
  })
  await evictDurableObject(shard)
  await setClock()
  expect(await shard.take(ask('a', sliding))).toMatchObject({ granted: 0, resetMs: 1_000 })
  now += 1_003
  await setClock()
  expect(await shard.take(ask('a', { ...sliding, cost: 4 }))).toMatchObject({ granted: 4, remaining: 0 })
  expect(await shard.take(ask('a', { ...sliding, cost: 1 }))).toMatchObject({ granted: 0, resetMs: 1 })
  // Windows and buckets of that key are other counts.
  expect(await shard.take(ask('a'))).toMatchObject({ granted: 1, remaining: 2 })
  expect(await countRows(shard)).toBe(2)
})

it('counts the keys of one who invents them in one row from its cap on, and holds the limits of those who came before', async () => {
  const shard = makeShard()
  await runInDurableObject(shard, (object, { storage }) => {
    object.now = () => 1_000_000_000
    object.maxRows = 2_000
    expect(object.take(ask('victim', { cost: 2 }))).toMatchObject({ granted: 2 })
    let admitted = 0
    for (let i = 0; i < 5_000; i++) admitted += object.take(ask(`invented ${i}`))!.granted
    // One for each row that there was room for, and one limit for all others together.
    expect(admitted).toBe(1_999 + 3)
    expect(object.take(ask('victim', { cost: 2 }))).toMatchObject({ granted: 0, remaining: 1, overflowed: false })
    expect(object.take(ask('victim'))).toMatchObject({ granted: 1, remaining: 0 })
    // Nor does it take the room of other limiters, whose keys come later.
    for (let i = 0; i < 10; i++)
      expect(object.take(ask(`later ${i}`, { name: 'other' }))).toMatchObject({ granted: 1, overflowed: false })
    expect(storage.sql.databaseSize).toBeLessThan(1_000_000)
  })
  expect(await countRows(shard)).toBe(2_011)
})
