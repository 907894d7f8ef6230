import fc from 'fast-check'
import { expect, it } from 'vitest'
import { makeLocalLimits } from '../../src/limits/store/local-limits.ts'

const makeTally = () => ({ overflows: 0 })

it('never admits more than the limit in an aligned window, and everything while there is room', () => {
  const steps = fc.array(
    fc.record({ key: fc.constantFrom('a', 'b', 'c'), waitMs: fc.nat(700), cost: fc.integer({ min: 1, max: 3 }) }),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(steps, fc.integer({ min: 1, max: 6 }), fc.nat(5_000), (asks, limit, start) => {
      let now = start
      const limiter = makeLocalLimits(() => now, makeTally())({ name: 'n', limit, windowMs: 1_000 })
      const used = new Map<string, number>()
      for (const { key, waitMs, cost } of asks) {
        now += waitMs
        const id = `${key} ${Math.floor(now / 1_000)}`
        const before = used.get(id) ?? 0
        const verdict = limiter.take(key, cost)
        expect(verdict.allowed).toBe(before + cost <= limit)
        if (verdict.allowed) used.set(id, before + cost)
        expect(verdict.remaining).toBe(limit - (used.get(id) ?? 0))
        expect(verdict.resetMs).toBe(1_000 - (now % 1_000))
      }
    }),
  )
})

it('stays in its window when the clock steps back over its start, and is not stuck when it jumps far', () => {
  let now = 10_000
  const limiter = makeLocalLimits(() => now, makeTally())({ name: 'n', limit: 1, windowMs: 1_000 })
  expect(limiter.take('a', 1).allowed).toBe(true)
  now = 9_995
  expect(limiter.take('a', 1).allowed).toBe(false)
  now = 10_005
  expect(limiter.take('a', 1).allowed).toBe(false)
  now = 5_000
  expect(limiter.take('a', 1).allowed).toBe(true)
})

it('counts keys beyond its cap in one bucket, until rows expire, and leaves other limiters their room', () => {
  let now = 0
  const tally = makeTally()
  const make = makeLocalLimits(() => now, tally, 3)
  const [limiter, other] = [
    make({ name: 'n', limit: 2, windowMs: 10_000 }),
    make({ name: 'm', limit: 2, windowMs: 10_000 }),
  ]
  for (const key of ['a', 'b', 'c']) expect(limiter.take(key, 1).allowed).toBe(true)
  expect(['d', 'e', 'f'].map((key) => limiter.take(key, 1).allowed)).toEqual([true, true, false])
  expect(tally.overflows).toBe(3)
  expect(['g', 'g', 'h'].map((key) => other.take(key, 1).allowed)).toEqual([true, true, true])
  expect(limiter.take('a', 1).allowed).toBe(true)
  now = 10_000
  expect(['d', 'e', 'f'].map((key) => limiter.take(key, 1).remaining)).toEqual([1, 1, 1])
  expect(tally.overflows).toBe(3)
})

it('keeps buckets, each limiter its own', () => {
  let now = 0
  const make = makeLocalLimits(() => now, makeTally())
  const bucket = make({ name: 'n', limit: 1, windowMs: 1_000, burst: 2 })
  const window = make({ name: 'n', limit: 1, windowMs: 1_000 })
  expect([1, 2, 3].map(() => bucket.take('a', 1).allowed)).toEqual([true, true, false])
  expect([1, 2].map(() => window.take('a', 1).allowed)).toEqual([true, false])
  now = 1_000
  expect([1, 2].map(() => bucket.take('a', 1).allowed)).toEqual([true, false])
})
