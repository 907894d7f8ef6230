import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import type { LimiterSpec } from '../../src/limits/limiter.ts'
import { makeUpstashStore } from '../../src/limits/store/upstash-store.ts'
import { STORE_FAULTS } from '../support/faults.ts'
import {
  command,
  countAsked,
  restartRedis,
  setFault,
  signalRedis,
  startRedis,
  type TestRedis,
} from '../support/redis.ts'

const spec: LimiterSpec = { name: 'n', algorithm: 'fixed-window', limit: 25, windowMs: 86_400_000 }
const shared = { url: env.TEST_UPSTASH_URL, token: env.TEST_UPSTASH_TOKEN }
const one = { want: 1, atLeast: 1 }
const makeKey = () => crypto.randomUUID()

interface Options {
  readonly now?: () => number
  readonly timeoutMs?: number
  readonly of?: LimiterSpec
  readonly maxRows?: number
}

/** A store as one isolate knows it; a machine busy with tests gets more time than production gives. */
function connect({ url, token }: { url: string; token: string }, options: Options = {}) {
  const { now = Date.now, timeoutMs = 5_000, of = spec, maxRows } = options
  const tally = { overflows: 0 }
  const store = makeUpstashStore(url, token, now, tally, timeoutMs, maxRows)
  const counter = store.counter(of)
  const work: Promise<unknown>[] = []
  const take = (key = makeKey(), ask = one) => counter.take(key, ask, (promise) => void work.push(promise))
  return { take, store, work, tally }
}

it.each(['fixed-window', 'sliding-window', 'token-bucket'] as const)(
  '%s: grants exactly the limit of one key, however many ask at once, and says when by its own clock',
  async (algorithm) => {
    const isolates = [1, 2].map(() => connect(shared, { of: { ...spec, algorithm } }))
    const key = makeKey()
    const before = Date.now()
    const asked = Array.from({ length: 60 }, (_, i) => isolates[i % 2]!.take(key, { want: 1 + (i % 3), atLeast: 1 }))
    const grants = await Promise.all(asked)
    expect(grants.reduce((sum, grant) => sum + grant!.granted, 0)).toBe(25)
    for (const grant of grants) {
      expect(grant!.storeNow).toBeGreaterThanOrEqual(before - 1)
      expect(grant!.storeNow).toBeLessThanOrEqual(Date.now() + 1)
      expect(grant!.resetMs).toBeGreaterThan(0)
      expect(grant!.expiresMs).toBeLessThanOrEqual(1_000)
    }
  },
)

it('never grants more in any sliding window of real time', async () => {
  const { take } = connect(shared, { of: { name: 's', algorithm: 'sliding-window', limit: 12, windowMs: 1_000 } })
  const key = makeKey()
  const granted: number[] = []
  for (let i = 0; i < 50; i++) {
    const grants = await Promise.all([take(key), take(key)])
    for (const grant of grants) if (grant!.granted > 0) granted.push(grant!.storeNow)
    await scheduler.wait(i % 7 === 0 ? 130 : 20)
  }
  granted.sort((a, b) => a - b)
  for (const from of granted)
    expect(granted.filter((at) => at >= from && at < from + 1_000).length).toBeLessThanOrEqual(12)
  expect(granted.length).toBeGreaterThan(12)
})

it('a refusal uses nothing up', async () => {
  const { take } = connect(shared)
  const key = makeKey()
  expect(await take(key, { want: 20, atLeast: 20 })).toMatchObject({ granted: 20, remaining: 5 })
  expect(await take(key, { want: 6, atLeast: 6 })).toMatchObject({ granted: 0, remaining: 5 })
  expect(await take(key, { want: 6, atLeast: 1 })).toMatchObject({ granted: 5, remaining: 0 })
})

it('keys beyond the cap share one row, and those that were there keep theirs', async () => {
  const of: LimiterSpec = { ...spec, name: makeKey(), limit: 3 }
  const { take, tally } = connect(shared, { of, maxRows: 40 })
  const victim = makeKey()
  expect(await take(victim, { want: 2, atLeast: 2 })).toMatchObject({ granted: 2 })
  const grants = await Promise.all(Array.from({ length: 200 }, () => take()))
  expect(grants.reduce((sum, grant) => sum + grant!.granted, 0)).toBe(39 + 3)
  expect(tally.overflows).toBe(161)
  expect(await take(victim, { want: 2, atLeast: 2 })).toMatchObject({ granted: 0, remaining: 1 })
  expect(await take(victim)).toMatchObject({ granted: 1 })
  const rows = String(await command(shared, 'GET', `umbral:{f:${of.name}:${of.windowMs}}:rows`))
  expect(rows.split(' ')[1]).toBe('40')
})

describe('a store that is ill', () => {
  let redis: TestRedis
  beforeAll(async () => {
    redis = await startRedis()
  })

  it.each(STORE_FAULTS)(
    '%s: is no answer, never waited for after three times, and healthy soon after',
    async (fault) => {
      let now = 1_000_000
      const { take, store, work } = connect(redis, { now: () => now, timeoutMs: 100 })
      await setFault(redis, fault)
      const startedAt = Date.now()
      for (let i = 0; i < 3; i++) expect(await take()).toBeUndefined()
      // The timer of a busy machine is late, but never by another timeout for each.
      expect(Date.now() - startedAt).toBeLessThan(3 * 200)
      expect(store.failing()).toBe(true)
      const asked = await countAsked(redis)
      for (let i = 0; i < 20; i++) expect(await take()).toBeUndefined()
      expect([await countAsked(redis), work.length]).toEqual([asked, 0])
      await setFault(redis, 'none')
      now += 500
      expect(await take()).toBeUndefined()
      await Promise.all(work)
      expect(store.failing()).toBe(false)
    },
  )

  it('asks no more than twice for one answer, whatever it is told of scripts', async () => {
    await setFault(redis, 'NOSCRIPT')
    const { take } = connect(redis)
    const asked = await countAsked(redis)
    expect(await take()).toBeUndefined()
    expect(await countAsked(redis)).toBe(asked + 2)
    await setFault(redis, 'none')
  })

  it.each([
    ['READONLY', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
    ['OOM', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
  ])('the real Redis saying %s is no answer', async (_, hurt, heal) => {
    const { take } = connect(redis)
    const key = makeKey()
    expect(await take(key)).toMatchObject({ granted: 1 })
    await command(redis, ...hurt)
    for (let i = 0; i < 3; i++) expect(await take(key)).toBeUndefined()
    await command(redis, ...heal)
  })

  it('sends its script again when Redis has forgotten it', async () => {
    const { take } = connect(redis)
    const key = makeKey()
    expect(await take(key)).toMatchObject({ remaining: 24 })
    await command(redis, 'SCRIPT', 'FLUSH')
    expect(await take(key)).toMatchObject({ remaining: 23 })
  })
})

it.each([
  ['a wrong token', () => connect({ ...shared, token: 'wrong' })],
  ['a port where nothing listens', () => connect({ url: 'http://127.0.0.1:1', token: 'token' })],
  ['something that is not a URL', () => connect({ url: 'not a url', token: 'token' })],
])('has no answer with %s, and does not reject', async (_, make) => {
  const { take, store } = make()
  for (let i = 0; i < 3; i++) expect(await take()).toBeUndefined()
  expect(store.failing()).toBe(true)
})

it.each(['SIGSTOP', 'SIGKILL'] as const)(
  'after %s each request in flight waits one timeout at most, then none does; back within 2 s of real time',
  async (signal) => {
    const redis = await startRedis()
    const { take, store, work } = connect(redis, { timeoutMs: 100 })
    const key = makeKey()
    expect(await take(key)).toBeDefined()
    await signalRedis(redis.redisPid, signal)
    const waits = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const startedAt = Date.now()
        return [await take(key), Date.now() - startedAt] as const
      }),
    )
    expect(waits.filter(([grant]) => grant !== undefined)).toEqual([])
    expect(Math.max(...waits.map(([, ms]) => ms))).toBeLessThan(250)
    expect(store.failing()).toBe(true)
    const startedAt = Date.now()
    for (let i = 0; i < 500; i++) expect(await take(key)).toBeUndefined()
    expect(Date.now() - startedAt).toBeLessThan(100)
    if (signal === 'SIGSTOP') await signalRedis(redis.redisPid, 'SIGCONT')
    else await restartRedis(redis)
    const backAt = Date.now()
    let grant = await take(key)
    while (grant === undefined && Date.now() - backAt < 5_000) {
      await scheduler.wait(20)
      grant = await take(key)
    }
    expect(Date.now() - backAt).toBeLessThan(2_000)
    // A stopped one has not forgotten; a killed one begins anew, which adds one limit to the bound.
    if (signal === 'SIGKILL') expect(grant).toMatchObject({ granted: 1, remaining: 24 })
    else expect(grant!.remaining).toBeLessThan(24)
    await Promise.all(work)
  },
)
