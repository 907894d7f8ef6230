import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import { makeDurableStore } from '../../src/limits/store/stores.ts'

const makeTally = () => ({ overflows: 0 })
const key = (shard: number, rest: string) => shard.toString(16).padStart(2, '0') + rest
/** Long enough for a busy machine, where a shard that answers must not be taken for one that does not. */
const TIMEOUT_MS = 500
const nothing = () => {}
const one = { want: 1, atLeast: 1 }

it('admits exactly the limit of one key, however many ask at once, alone or for a lease', async () => {
  const make = () =>
    makeDurableStore(env.LIMITS, Date.now, makeTally(), 5_000).counter({ name: 'n', limit: 25, windowMs: 3_600_000 })
  // Two isolates, as far as the store can tell.
  const limiters = [make(), make()]
  const asked = Array.from({ length: 100 }, (_, i) =>
    limiters[i % 2]!.take(key(1, 'exact'), { want: 1 + (i % 3), atLeast: 1 }, nothing),
  )
  const grants = await Promise.all(asked)
  expect(grants.reduce((sum, grant) => sum + grant!.granted, 0)).toBe(25)
  expect(Math.min(...grants.map((grant) => grant?.remaining ?? NaN))).toBe(0)
})

it('spreads keys over the shards', async () => {
  const store = makeDurableStore(env.LIMITS, Date.now, makeTally(), 5_000)
  const windows = store.counter({ name: 'n', limit: 1, windowMs: 3_600_000 })
  for (const shard of [7, 8]) await windows.take(key(shard, 'spread'), one, nothing)
  for (const shard of [7, 8]) {
    const stub = env.LIMITS.get(env.LIMITS.idFromName(`limits-${shard}`))
    // Other test files share the objects.
    const rows = await runInDurableObject(stub, (_, { storage }) =>
      storage.sql.exec("SELECT key FROM takes WHERE key LIKE '%spread'").toArray(),
    )
    expect(rows).toEqual([{ key: `f:${key(shard, 'spread')}` }])
  }
})

it('gives up a shard that does not answer, makes nobody wait after three times, and comes back to it; others go on', async () => {
  let now = 1_000_000
  const store = makeDurableStore(env.LIMITS, () => now, makeTally(), TIMEOUT_MS)
  const counter = store.counter({ name: 'n', limit: 100, windowMs: 3_600_000 })
  const work: Promise<unknown>[] = []
  const take = (shard: number) => counter.take(key(shard, 'hang'), one, (promise) => void work.push(promise))
  expect(await take(3)).toBeDefined()
  const stub = env.LIMITS.get(env.LIMITS.idFromName('limits-3'))
  let hangs = true
  const hanging = runInDurableObject(stub, (_, state) =>
    state.blockConcurrencyWhile(async () => {
      while (hangs) await scheduler.wait(5)
    }),
  )
  const started = Date.now()
  for (let i = 0; i < 3; i++) expect(await take(3)).toBeUndefined()
  const threeTimeouts = Date.now() - started
  expect(threeTimeouts).toBeGreaterThanOrEqual(3 * TIMEOUT_MS - 10)
  now += 500
  for (let i = 0; i < 50; i++) expect(await take(3)).toBeUndefined()
  expect(Date.now() - started - threeTimeouts).toBeLessThan(TIMEOUT_MS)
  expect(work).toHaveLength(1)
  expect(store.failing()).toBe(true)
  expect(await take(4)).toBeDefined()
  await Promise.all(work)
  expect(store.failing()).toBe(true)
  hangs = false
  await hanging
  now += 500
  expect(await take(3)).toBeUndefined()
  await Promise.all(work)
  expect(store.failing()).toBe(false)
  expect(await take(3)).toBeDefined()
})
