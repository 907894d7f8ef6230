import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import { makeStoreHealth } from '../../src/limits/store-health.ts'
import { makeUpstashLimits } from '../../src/limits/upstash.ts'
import { signalRedis, startRedis } from '../support/redis.ts'

const nothing = () => {}
const spec = { name: 'n', limit: 25, windowMs: 86_400_000 }
/** Long enough for a busy machine, where a limiter that answers must not be taken for one that does not. */
const TIMEOUT_MS = 500
const makeKey = () => crypto.randomUUID()

function makeLimiter(url: string, token: string, now: () => number = Date.now, timeoutMs = 5_000) {
  const health = makeStoreHealth(now)
  return { limiter: makeUpstashLimits(url, token, now, health, timeoutMs)(spec), health }
}

it('admits exactly the limit of one key, however many ask at once', async () => {
  const make = () => makeLimiter(env.TEST_UPSTASH_URL, env.TEST_UPSTASH_TOKEN).limiter
  // Two isolates, as far as the store can tell.
  const limiters = [make(), make()]
  const key = makeKey()
  // The first take loads the script, so that no later one needs two calls.
  const first = await limiters[0]!.take(key, 1, nothing)
  expect(first).toEqual({ allowed: true, remaining: 24, resetMs: expect.any(Number) })
  expect(first!.resetMs).toBeGreaterThan(0)
  expect(first!.resetMs).toBeLessThanOrEqual(spec.windowMs)
  const others = await Promise.all(Array.from({ length: 40 }, (_, i) => limiters[i % 2]!.take(key, 1, nothing)))
  expect(others.filter((verdict) => verdict?.allowed)).toHaveLength(24)
  expect(others.filter((verdict) => verdict === undefined)).toEqual([])
})

it('hands pending work to waitUntil and takes the whole cost', async () => {
  const { limiter } = makeLimiter(env.TEST_UPSTASH_URL, env.TEST_UPSTASH_TOKEN)
  const work: Promise<unknown>[] = []
  expect(await limiter.take(makeKey(), 7, (promise) => void work.push(promise))).toMatchObject({ remaining: 18 })
  expect(work).toHaveLength(1)
})

it.each([
  ['a wrong token', () => makeLimiter(env.TEST_UPSTASH_URL, 'wrong')],
  ['a port where nothing listens', () => makeLimiter('http://127.0.0.1:1', 'token')],
  ['something that is not a URL', () => makeLimiter('not a url', 'token')],
])('has no answer with %s, and does not reject', async (_, make) => {
  const { limiter, health } = make()
  for (let i = 0; i < 3; i++) expect(await limiter.take(makeKey(), 1, nothing)).toBeUndefined()
  expect(health.failing()).toBe(true)
})

it('gives up a stopped Redis after its timeout, leaves it alone for a second, and comes back to it', async () => {
  const { url, token, redisPid } = await startRedis()
  let now = Date.now()
  const { limiter, health } = makeLimiter(url, token, () => now, TIMEOUT_MS)
  expect(await limiter.take(makeKey(), 1, nothing)).toBeDefined()
  await signalRedis(redisPid, 'SIGSTOP')
  const started = Date.now()
  for (let i = 0; i < 3; i++) expect(await limiter.take(makeKey(), 1, nothing)).toBeUndefined()
  const threeTimeouts = Date.now() - started
  expect(threeTimeouts).toBeGreaterThanOrEqual(3 * TIMEOUT_MS - 10)
  for (let i = 0; i < 50; i++) expect(await limiter.take(makeKey(), 1, nothing)).toBeUndefined()
  expect(Date.now() - started - threeTimeouts).toBeLessThan(TIMEOUT_MS)
  expect(health.failing()).toBe(true)
  await signalRedis(redisPid, 'SIGCONT')
  expect(await limiter.take(makeKey(), 1, nothing)).toBeUndefined()
  now += 1_000
  // One request asks; another one beside it does not wait with it.
  const [asking, beside] = await Promise.all([limiter.take(makeKey(), 1, nothing), limiter.take(makeKey(), 1, nothing)])
  expect([asking?.allowed, beside?.allowed]).toEqual([true, undefined])
  expect(health.failing()).toBe(false)
})

it('has no answer from a killed Redis', async () => {
  const { url, token, redisPid } = await startRedis()
  const { limiter } = makeLimiter(url, token)
  expect(await limiter.take(makeKey(), 1, nothing)).toBeDefined()
  await signalRedis(redisPid, 'SIGKILL')
  expect(await limiter.take(makeKey(), 1, nothing)).toBeUndefined()
})

it('keeps buckets: the burst at once, then a token for each step, and no more', async () => {
  const bucket = { name: 'b', limit: 5, windowMs: 1_000, burst: 3 }
  const make = () => {
    const url = env.TEST_UPSTASH_URL
    return makeUpstashLimits(url, env.TEST_UPSTASH_TOKEN, Date.now, makeStoreHealth(Date.now), 5_000)(bucket)
  }
  const limiters = [make(), make()]
  const key = makeKey()
  const startedAt = Date.now()
  let admitted = 0
  const end = startedAt + 700
  let refusals = 0
  while (Date.now() < end) {
    const verdict = (await limiters[admitted % 2]!.take(key, 1, nothing))!
    if (verdict.allowed) {
      admitted++
      continue
    }
    refusals++
    expect(verdict.remaining).toBe(0)
    expect(verdict.resetMs).toBeGreaterThan(0)
    expect(verdict.resetMs).toBeLessThanOrEqual(200)
    await scheduler.wait(verdict.resetMs)
  }
  const tookMs = Date.now() - startedAt
  expect(admitted).toBeLessThanOrEqual(3 + (tookMs * 5) / 1_000)
  expect(admitted).toBeGreaterThanOrEqual(3 + 2)
  expect(refusals).toBeLessThanOrEqual(admitted)
})

it('knows a bucket whose limit and window have no common measure', async () => {
  const odd = { name: 'o', limit: 7, windowMs: 60_000, burst: 2 }
  const { url, token } = { url: env.TEST_UPSTASH_URL, token: env.TEST_UPSTASH_TOKEN }
  const limiter = makeUpstashLimits(url, token, Date.now, makeStoreHealth(Date.now), 5_000)(odd)
  const key = makeKey()
  const verdicts = [
    await limiter.take(key, 1, nothing),
    await limiter.take(key, 1, nothing),
    await limiter.take(key, 1, nothing),
  ]
  expect(verdicts.map((verdict) => verdict?.allowed)).toEqual([true, true, false])
})
