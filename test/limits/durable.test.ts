import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import { makeDurableLimits } from '../../src/limits/durable.ts'

const makeTally = () => ({ missingKeys: 0, overflows: 0, storeFailures: 0 })
const key = (shard: number, rest: string) => shard.toString(16).padStart(2, '0') + rest
/** Long enough for a busy machine, where a shard that answers must not be taken for one that does not. */
const TIMEOUT_MS = 500
const nothing = () => {}

it('admits exactly the limit of one key, however many ask at once', async () => {
  const make = () =>
    makeDurableLimits(env.LIMITS, Date.now, makeTally(), 5_000).limiter({ name: 'n', limit: 25, windowMs: 3_600_000 })
  // Two isolates, as far as the store can tell.
  const limiters = [make(), make()]
  const asked = Array.from({ length: 100 }, (_, i) => limiters[i % 2]!.take(key(1, 'exact'), 1, nothing))
  const verdicts = await Promise.all(asked)
  expect(verdicts.filter((verdict) => verdict?.allowed)).toHaveLength(25)
  expect(Math.min(...verdicts.map((verdict) => verdict?.remaining ?? NaN))).toBe(0)
})

it('spreads keys over the shards', async () => {
  const { limiter } = makeDurableLimits(env.LIMITS, Date.now, makeTally(), 5_000)
  const windows = limiter({ name: 'n', limit: 1, windowMs: 3_600_000 })
  for (const shard of [7, 8]) await windows.take(key(shard, 'spread'), 1, nothing)
  for (const shard of [7, 8]) {
    const stub = env.LIMITS.get(env.LIMITS.idFromName(`limits-${shard}`))
    const rows = await runInDurableObject(stub, (_, { storage }) =>
      storage.sql.exec('SELECT key FROM windows').toArray(),
    )
    expect(rows).toEqual([{ key: key(shard, 'spread') }])
  }
})

it('gives up a shard that does not answer, leaves it alone, and comes back to it; other shards go on', async () => {
  let now = 1_000_000
  const windows = makeDurableLimits(env.LIMITS, () => now, makeTally(), TIMEOUT_MS)
  const limiter = windows.limiter({ name: 'n', limit: 100, windowMs: 3_600_000 })
  expect(await limiter.take(key(3, 'hang'), 1, nothing)).toBeDefined()
  const stub = env.LIMITS.get(env.LIMITS.idFromName('limits-3'))
  let hangs = true
  const hanging = runInDurableObject(stub, (_, state) =>
    state.blockConcurrencyWhile(async () => {
      while (hangs) await scheduler.wait(5)
    }),
  )
  const started = Date.now()
  for (let i = 0; i < 3; i++) expect(await limiter.take(key(3, 'hang'), 1, nothing)).toBeUndefined()
  const threeTimeouts = Date.now() - started
  expect(threeTimeouts).toBeGreaterThanOrEqual(3 * TIMEOUT_MS - 10)
  for (let i = 0; i < 50; i++) expect(await limiter.take(key(3, 'hang'), 1, nothing)).toBeUndefined()
  expect(Date.now() - started - threeTimeouts).toBeLessThan(TIMEOUT_MS)
  expect(windows.failing()).toBe(true)
  expect(await limiter.take(key(4, 'fine'), 1, nothing)).toBeDefined()
  hangs = false
  await hanging
  now += 1_000
  expect(await limiter.take(key(3, 'hang'), 1, nothing)).toBeDefined()
  expect(windows.failing()).toBe(false)
})
