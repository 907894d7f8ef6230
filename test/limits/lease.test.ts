import { expect, it } from 'vitest'
import { makeLeasedLimiter } from '../../src/limits/lease/leased-limiter.ts'
import type { LimiterSpec, LimitVerdict, TakeGrant, TakeRequest } from '../../src/limits/limiter.ts'

const fixed: LimiterSpec = { name: 'n', algorithm: 'fixed-window', limit: 10_000, windowMs: 3_600_000 }
const nothing = () => {}

/** A limiter whose store answers when the test says so, what the test says. */
function makeScene(spec = fixed, mostKeys?: number) {
  const scene = { now: 7_200_000, asks: [] as TakeRequest[] }
  const answers: ((grant: Partial<TakeGrant> | undefined) => void)[] = []
  const take = (_: string, ask: TakeRequest) =>
    new Promise<TakeGrant | undefined>((resolve) => {
      scene.asks.push(ask)
      const rest = { remaining: 5_000, resetMs: 3_000_000, storeNow: scene.now, expiresMs: 1_000 }
      answers.push((grant) => resolve(grant && { granted: ask.want, ...rest, ...grant }))
    })
  const limiter = makeLeasedLimiter({ take }, spec, () => scene.now, mostKeys)
  const answer = async (grant: Partial<TakeGrant> | 'none' = {}) => {
    for (const resolve of answers.splice(0)) resolve(grant === 'none' ? undefined : grant)
    for (let turn = 0; turn < 6; turn++) await Promise.resolve()
  }
  const request = (key = 'a', cost = 1) => limiter.take(key, cost, nothing)
  const drain = (amount: number) => limiter.drain('a', amount, nothing)
  /** Makes the key hot, and leaves a lease in hand. */
  const warm = async () => {
    for (let i = 0; i < 60; i++) {
      void request()
      await answer()
    }
    scene.asks.length = 0
  }
  return Object.assign(scene, { answer, request, drain, warm })
}

/** How many requests pass without waiting. */
function spendAll(request: () => unknown): number {
  for (let spent = 0; spent < 10_000; spent++) if (request() instanceof Promise) return spent
  return Infinity
}

it('lets one of many that find nothing left take ahead; each of them waits for its own call', async () => {
  const scene = makeScene()
  await scene.warm()
  scene.now += 1_000
  const verdicts = Array.from({ length: 100 }, () => scene.request()).filter((verdict) => verdict instanceof Promise)
  expect(new Set(verdicts).size).toBe(100)
  expect(scene.asks).toHaveLength(100)
  expect(scene.asks.filter(({ want }) => want > 1)).toHaveLength(1)
  await scene.answer()
  expect(await Promise.all(verdicts)).toMatchObject(Array.from({ length: 100 }, () => ({ allowed: true })))
})

it('refills before a lease is used up, with one call at a time, and asks anew when an answer is 2 s late', async () => {
  const scene = makeScene()
  await scene.warm()
  for (let i = 0; i < 3; i++) expect(scene.request()).not.toBeInstanceOf(Promise)
  while (scene.asks.length === 0) expect(scene.request()).not.toBeInstanceOf(Promise)
  expect(scene.asks).toEqual([{ want: expect.any(Number), atLeast: 1 }])
  spendAll(() => scene.request())
  expect(scene.asks.filter(({ want }) => want > 1)).toHaveLength(1)
  scene.now += 1_999
  void scene.request()
  expect(scene.asks.filter(({ want }) => want > 1)).toHaveLength(1)
  scene.now += 1
  for (let i = 0; i < 60; i++) void scene.request()
  expect(scene.asks.filter(({ want }) => want > 1)).toHaveLength(2)
})

it('spends what it holds while the store fails, until that expires', async () => {
  const scene = makeScene()
  await scene.warm()
  scene.now += 500
  expect(scene.request()).toMatchObject({ allowed: true })
  await scene.answer('none')
  scene.now += 494
  expect(scene.request()).toMatchObject({ allowed: true, decidedAt: scene.now })
  scene.now += 1
  const last = scene.request()
  expect(last).toBeInstanceOf(Promise)
  await scene.answer('none')
  expect(await last).toBeUndefined()
})

it('carries nothing into the next window, however much was left', async () => {
  const scene = makeScene()
  await scene.warm()
  for (let i = 0; i < 60; i++) {
    void scene.request()
    await scene.answer({ expiresMs: 30, resetMs: 30 })
  }
  scene.now += 1_000
  void scene.request()
  await scene.answer({ expiresMs: 30, resetMs: 30 })
  scene.now += 24
  expect(scene.request()).not.toBeInstanceOf(Promise)
  scene.now += 1
  expect(scene.request()).toBeInstanceOf(Promise)
})

it('takes nothing ahead of a small or nearly spent limit, and remembers a refusal until there is more', async () => {
  const scene = makeScene({ ...fixed, limit: 19 })
  for (let i = 0; i < 50; i++) {
    const verdict = scene.request()
    expect(verdict).toBeInstanceOf(Promise)
    await scene.answer({ remaining: 19 })
    expect(await verdict).toMatchObject({ allowed: true, remaining: 19 })
  }
  const refused = scene.request()
  await scene.answer({ granted: 0, remaining: 0, resetMs: 400 })
  expect(await refused).toMatchObject({ allowed: false, resetMs: 400 })
  scene.now += 399
  expect(scene.request()).toEqual({ allowed: false, remaining: 0, resetMs: 1, decidedAt: scene.now })
  scene.now += 1
  expect(scene.request()).toBeInstanceOf(Promise)
  expect(scene.asks.slice(0, 51)).toEqual(Array.from({ length: 51 }, () => ({ want: 1, atLeast: 1 })))
})

it('voids its leases when its clock steps back, also when that shows only in the next answer', async () => {
  const seen = makeScene()
  await seen.warm()
  seen.now -= 1
  expect(seen.request()).toBeInstanceOf(Promise)

  const unseen = makeScene()
  await unseen.warm()
  unseen.now += 10
  const storeNow = unseen.now + 400
  while (unseen.asks.length === 0) void unseen.request()
  expect(unseen.request()).not.toBeInstanceOf(Promise)
  await unseen.answer({ granted: 1, storeNow })
  expect(unseen.request()).not.toBeInstanceOf(Promise)
  expect(unseen.request()).toBeInstanceOf(Promise)
})

it('holds no more keys than it has room for: those beyond ask for themselves until others have rested', async () => {
  const scene = makeScene(fixed, 2)
  await scene.warm()
  void scene.request('b')
  for (let i = 0; i < 60; i++) {
    void scene.request('c')
    await scene.answer()
  }
  expect(scene.asks.slice(1)).toEqual(Array.from({ length: 60 }, () => ({ want: 1, atLeast: 1 })))
  expect(scene.request('a')).not.toBeInstanceOf(Promise)
  scene.now += 1_001
  for (let i = 0; i < 60; i++) {
    void scene.request('c')
    await scene.answer()
  }
  expect(scene.request('c')).not.toBeInstanceOf(Promise)
})

it('asks for the whole of a cost that no lease has', async () => {
  const scene = makeScene()
  await scene.warm()
  const verdict = scene.request('a', 5_000)
  expect(scene.asks.at(-1)).toMatchObject({ atLeast: 5_000 })
  await scene.answer({ granted: 0, remaining: 4_999 })
  expect((await verdict) satisfies LimitVerdict | undefined).toMatchObject({ allowed: false, remaining: 4_999 })
  expect(scene.request()).toMatchObject({ allowed: true })
})

it('asks again as soon as there can be more by the store’s clock, however long its answer was under way', async () => {
  const scene = makeScene({ ...fixed, limit: 5 })
  const first = scene.request()
  scene.now += 40
  await scene.answer({ granted: 0, remaining: 0, resetMs: 500, storeNow: scene.now - 40 })
  expect(await first).toMatchObject({ allowed: false, resetMs: 500 })
  scene.now += 459
  expect(scene.request()).toMatchObject({ allowed: false, decidedAt: scene.now })
  scene.now += 1
  expect(scene.request()).toBeInstanceOf(Promise)
})

it('charges what it holds, from each lease, and only the rest to the store', async () => {
  const scene = makeScene()
  await scene.warm()
  const { remaining } = scene.request() as LimitVerdict
  const held = remaining - 5_000
  expect(held).toBeGreaterThan(1)
  const charged = scene.drain(held + 7)
  expect(scene.asks).toEqual([{ want: 7, atLeast: 7 }])
  await scene.answer({ granted: 0, remaining: 3 })
  expect(scene.asks[1]).toEqual({ want: 7, atLeast: 1 })
  await scene.answer({ granted: 3, remaining: 0 })
  const parts = await charged
  expect(parts.reduce((sum, { taken }) => sum + taken, 0)).toBe(held + 3)
  for (const { taken, leaseUntil } of parts.slice(0, -1))
    expect([taken > 0, leaseUntil! > scene.now]).toEqual([true, true])
  expect(parts.at(-1)).toEqual({ taken: 3, decidedAt: scene.now })
  // Nothing is held, so that whoever comes next asks.
  expect(scene.request()).toBeInstanceOf(Promise)
})
