import { expect, it } from 'vitest'
import type { StoreLimiter } from '../../src/limits/limiter.ts'
import { rememberRefusals } from '../../src/limits/store/refusal-memory.ts'

const nothing = () => {}

/** A store that admits `room` in all, and the keys that it was asked about. */
function makeStore(room: number) {
  const asked: string[] = []
  const store: StoreLimiter = {
    drain: async () => [],
    take: async (key, cost) => {
      asked.push(key)
      const allowed = cost <= room
      if (allowed) room -= cost
      return { allowed, remaining: room, resetMs: 500, decidedAt: 70_000 }
    },
  }
  return { store, asked, refill: (tokens: number) => void (room = tokens) }
}

it('asks no more about a key that was refused, until there can be more of it', async () => {
  let now = 10_000
  const { store, asked, refill } = makeStore(1)
  const limiter = rememberRefusals(store, () => now)
  expect(await limiter.take('a', 1, nothing)).toMatchObject({ allowed: true })
  expect(await limiter.take('a', 1, nothing)).toMatchObject({ allowed: false, resetMs: 500 })
  now += 499
  expect(await limiter.take('a', 1, nothing)).toEqual({ allowed: false, remaining: 0, resetMs: 1, decidedAt: 70_499 })
  expect(asked).toEqual(['a', 'a'])
  expect(await limiter.take('b', 1, nothing)).toMatchObject({ allowed: false })
  expect(asked).toEqual(['a', 'a', 'b'])
  now += 1
  refill(1)
  expect(await limiter.take('a', 1, nothing)).toMatchObject({ allowed: true })
})

it('asks again as soon as there can be more by the store’s clock, however long its answer was under way', async () => {
  let now = 10_000
  let asked = 0
  const slow: StoreLimiter = {
    drain: async () => [],
    take: async () => {
      asked++
      // Decided at once; the answer takes a while.
      const verdict = { allowed: false, remaining: 0, resetMs: 500, decidedAt: now }
      now += 40
      return verdict
    },
  }
  const limiter = rememberRefusals(slow, () => now)
  await limiter.take('a', 1, nothing)
  now = 10_499
  expect(await limiter.take('a', 1, nothing)).toMatchObject({ allowed: false, decidedAt: 10_499 })
  expect(asked).toBe(1)
  now = 10_500
  await limiter.take('a', 1, nothing)
  expect(asked).toBe(2)
})

it('takes a refusal of much for no answer about less, and forgets when the clock steps back', async () => {
  let now = 10_000
  const { store, asked } = makeStore(2)
  const limiter = rememberRefusals(store, () => now)
  expect((await limiter.take('a', 3, nothing))?.allowed).toBe(false)
  expect((await limiter.take('a', 2, nothing))?.allowed).toBe(true)
  expect((await limiter.take('a', 1, nothing))?.allowed).toBe(false)
  now -= 1
  await limiter.take('a', 1, nothing)
  expect(asked).toHaveLength(4)
})

it('remembers no failure, and no more keys than it has room for', async () => {
  let answers = false
  let asked = 0
  const limiter = rememberRefusals(
    {
      drain: async () => [],
      take: async () => {
        asked++
        return answers ? { allowed: false, remaining: 0, resetMs: 9_000, decidedAt: 0 } : undefined
      },
    },
    () => 0,
  )
  expect(await limiter.take('a', 1, nothing)).toBeUndefined()
  expect(await limiter.take('a', 1, nothing)).toBeUndefined()
  answers = true
  for (let i = 0; i < 10_001; i++) await limiter.take(`k${i}`, 1, nothing)
  const before = asked
  await limiter.take('k10000', 1, nothing)
  expect(asked).toBe(before)
  await limiter.take('k0', 1, nothing)
  expect(asked).toBe(before + 1)
})
