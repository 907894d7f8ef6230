import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Count, takeFrom } from '../../src/limits/count.ts'

const unknown = (): Count => ({ endsAt: 0, used: 0 })

describe('a bucket', () => {
  const spec = { name: 'n', limit: 5, windowMs: 60_000, burst: 10 }

  it('admits its burst at once, then one for every token that has come back', () => {
    const count = unknown()
    const take = (now: number) => takeFrom(count, spec, 1, now)
    for (let left = 9; left >= 0; left--)
      expect(take(1_000)).toEqual({ allowed: true, remaining: left, resetMs: 12_000 })
    expect(take(1_000)).toEqual({ allowed: false, remaining: 0, resetMs: 12_000 })
    expect(take(12_999)).toEqual({ allowed: false, remaining: 0, resetMs: 1 })
    expect(take(13_000)).toEqual({ allowed: true, remaining: 0, resetMs: 12_000 })
    expect(take(49_000)).toEqual({ allowed: true, remaining: 2, resetMs: 12_000 })
    expect(take(10_000_000)).toEqual({ allowed: true, remaining: 9, resetMs: 12_000 })
  })

  it('keeps the part of a token that has come back', () => {
    const count = unknown()
    for (let i = 0; i < 10; i++) takeFrom(count, spec, 1, 0)
    expect(takeFrom(count, spec, 1, 18_000)).toEqual({ allowed: true, remaining: 0, resetMs: 6_000 })
    expect(takeFrom(count, spec, 1, 24_000).allowed).toBe(true)
  })

  it('fills nothing while the clock steps back, nothing twice afterwards, and is not stuck when it jumps far', () => {
    const count = unknown()
    for (let i = 0; i < 10; i++) takeFrom(count, spec, 1, 1_000_000)
    expect(takeFrom(count, spec, 1, 988_000).allowed).toBe(false)
    expect(takeFrom(count, spec, 1, 1_012_000).allowed).toBe(true)
    expect(takeFrom(count, spec, 1, 1_000_000).allowed).toBe(false)
    expect(takeFrom(count, spec, 1, 1_012_001).allowed).toBe(false)
    expect(takeFrom(count, spec, 1, 100_000).allowed).toBe(true)
    const half = unknown()
    for (let i = 0; i < 5; i++) takeFrom(half, spec, 1, 1_000_000)
    expect(takeFrom(half, spec, 1, 988_000).remaining).toBe(4)
    expect(takeFrom(half, spec, 1, 1_000_000).remaining).toBe(3)
    expect(takeFrom(half, spec, 1, 1_012_000).remaining).toBe(3)
  })

  it('admits at most burst + rate × time between any two moments, and refuses nothing that fits; `resetMs` is when it fits', () => {
    const steps = fc.array(fc.record({ waitMs: fc.nat(900), cost: fc.integer({ min: 1, max: 3 }) }), { maxLength: 80 })
    const sizes = fc.record({ limit: fc.integer({ min: 1, max: 50 }), burst: fc.integer({ min: 3, max: 60 }) })
    fc.assert(
      fc.property(steps, sizes, fc.nat(100_000), (asks, { limit, burst }, start) => {
        const bucket = { name: 'n', limit, windowMs: 7_000, burst }
        const count = unknown()
        const taken: { at: number; cost: number }[] = []
        /** What a bucket kept in whole numbers says: tokens × windowMs. */
        let level = burst * 7_000
        let now = start
        for (const { waitMs, cost } of asks) {
          now += waitMs
          level = Math.min(burst * 7_000, level + waitMs * limit)
          const verdict = takeFrom(count, bucket, cost, now)
          expect(verdict.allowed).toBe(level >= cost * 7_000)
          if (verdict.allowed) {
            level -= cost * 7_000
            taken.push({ at: now, cost })
          } else {
            const later = structuredClone(count)
            expect(takeFrom(structuredClone(later), bucket, cost, now + verdict.resetMs - 1).allowed).toBe(false)
            expect(takeFrom(later, bucket, cost, now + verdict.resetMs).allowed).toBe(true)
          }
          expect(verdict.remaining).toBe(Math.floor(level / 7_000))
        }
        for (const [i, { at: from }] of taken.entries()) {
          let sum = 0
          for (const { at, cost } of taken.slice(i)) {
            sum += cost
            expect(sum).toBeLessThanOrEqual(burst + ((at - from) * limit) / 7_000 + 1e-5)
          }
        }
      }),
    )
  })

  it('stays exact where a token comes back in less than the clock can tell', () => {
    const fast = { name: 'n', limit: 1_000_000_000, windowMs: 1_000, burst: 1_000_000 }
    const count = unknown()
    const now = 1_700_000_000_000
    expect(takeFrom(count, fast, 999_999, now)).toMatchObject({ allowed: true, remaining: 1 })
    expect(takeFrom(count, fast, 1, now)).toMatchObject({ allowed: true, remaining: 0 })
    expect(takeFrom(count, fast, 1, now)).toMatchObject({ allowed: false, resetMs: 1 })
    expect(takeFrom(count, fast, 1_000_000, now + 1)).toMatchObject({ allowed: true, remaining: 0 })
  })
})

it('a refusal leaves what is kept as it was', () => {
  for (const burst of [undefined, 2]) {
    const count = unknown()
    for (let i = 0; i < 2; i++) takeFrom(count, { name: 'n', limit: 2, windowMs: 60_000, burst }, 1, 1)
    const before = { ...count }
    expect(takeFrom(count, { name: 'n', limit: 2, windowMs: 60_000, burst }, 1, 5).allowed).toBe(false)
    expect(count).toEqual(before)
  }
})
