import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { LimitShard, ShardTake } from '../../src/state/limit-shard.ts'

let made = 0
const makeShard = () => env.LIMITS.get(env.LIMITS.idFromName(`test-${made++}`))
const ask = (key: string, parts: Partial<ShardTake> = {}): ShardTake => ({
  name: 'n',
  key,
  cost: 1,
  limit: 3,
  windowMs: 60_000,
  ...parts,
})
const countRows = (shard: DurableObjectStub<LimitShard>) =>
  runInDurableObject(shard, (_, state) => state.storage.sql.exec('SELECT * FROM windows').toArray().length)

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
          expect(verdict.allowed).toBe(before + cost <= limit)
          if (verdict.allowed) used.set(id, before + cost)
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
  expect(beyond.map((verdict) => verdict?.allowed)).toEqual([true, true, true, false])
  expect((await shard.take(ask('g', { name: 'm' })))?.allowed).toBe(true)
  expect(await countRows(shard)).toBe(4)
  now += 60_000
  expect(await shard.take(ask('c'))).toMatchObject({ overflowed: false, remaining: 2 })
})

it('answers undefined, and does not throw, when its storage fails', async () => {
  const shard = makeShard()
  await runInDurableObject(shard, (_, state) => void state.storage.sql.exec('DROP TABLE windows'))
  expect(await shard.take(ask('a'))).toBeUndefined()
})

it('keeps buckets as the isolates do, beside windows, until they are full', async () => {
  const shard = makeShard()
  await runInDurableObject(shard, (object) => {
    let now = 1_000_000
    object.now = () => now
    const bucket = (key: string) => object.take(ask(key, { limit: 5, burst: 2 }))!
    expect([bucket('a'), bucket('a'), bucket('a')].map(({ allowed }) => allowed)).toEqual([true, true, false])
    expect(object.take(ask('w'))).toMatchObject({ allowed: true })
    now += 18_000
    // A token and a half have come back: the half is kept too.
    expect(bucket('a')).toMatchObject({ allowed: true, remaining: 0, resetMs: 6_000 })
    now += 24_000
    expect(object.take(ask('other', { limit: 5, burst: 2 }))).toMatchObject({ allowed: true })
  })
  expect(await countRows(shard)).toBe(3)
})
