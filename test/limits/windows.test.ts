import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LimiterSpec } from '../../src/limits/limiter.ts'
import { grainMs, takeFrom, type WindowCount } from '../../src/limits/store/windows.ts'

const unknown = (): WindowCount => ({ endsAt: 0, used: 0 })

/** Takes the whole `cost`, or nothing. */
function takeWhole(count: WindowCount, spec: LimiterSpec, cost: number, now: number) {
  const { granted, remaining, resetMs } = takeFrom(count, spec, { want: cost, atLeast: cost }, now)
  return { allowed: granted === cost, remaining, resetMs }
}

describe('a bucket', () => {
  const spec = { name: 'n', limit: 5, windowMs: 60_000, burst: 10 }

  it('admits its burst at once, then one for every token that has come back', () => {
    const count = unknown()
    const take = (now: number) => takeWhole(count, spec, 1, now)
    for (let left = 9; left >= 0; left--)
      expect(take(1_000)).toEqual({ allowed: true, remaining: left, resetMs: 12_000 })
    expect(take(1_000)).toEqual({ allowed: false, remaining: 0, resetMs: 12_000 })
    expect(take(12_999)).toEqual({ allowed: false, remaining: 0, resetMs: 1 })
    expect(take(13_000)).toEqual({ allowed: true, remaining: 0, resetMs: 12_000 })
    expect(take(49_000)).toEqual({ allowed: true, remaining: 2, resetMs: 12_000 })
    expect(take(10_000_000)).toEqual({ allowed: true, remaining: 9, resetMs: 12_000 })
  })

  it('hands out what there is to those who take less than they want', () => {
    const count = unknown()
    expect(takeFrom(count, spec, { want: 8, atLeast: 1 }, 0)).toMatchObject({
      granted: 8,
      remaining: 2,
      expiresMs: 1_000,
    })
    expect(takeFrom(count, spec, { want: 8, atLeast: 3 }, 0)).toMatchObject({
      granted: 0,
      remaining: 2,
      resetMs: 12_000,
    })
    expect(takeFrom(count, spec, { want: 8, atLeast: 0 }, 0)).toMatchObject({ granted: 2, remaining: 0 })
  })

  it('keeps the part of a token that has come back', () => {
    const count = unknown()
    for (let i = 0; i < 10; i++) takeWhole(count, spec, 1, 0)
    expect(takeWhole(count, spec, 1, 18_000)).toEqual({ allowed: true, remaining: 0, resetMs: 6_000 })
    expect(takeWhole(count, spec, 1, 24_000).allowed).toBe(true)
  })

  it('fills nothing while the clock steps back, nothing twice afterwards, and is not stuck when it jumps far', () => {
    const count = unknown()
    for (let i = 0; i < 10; i++) takeWhole(count, spec, 1, 1_000_000)
    expect(takeWhole(count, spec, 1, 988_000).allowed).toBe(false)
    expect(takeWhole(count, spec, 1, 1_012_000).allowed).toBe(true)
    expect(takeWhole(count, spec, 1, 1_000_000).allowed).toBe(false)
    expect(takeWhole(count, spec, 1, 1_012_001).allowed).toBe(false)
    expect(takeWhole(count, spec, 1, 100_000).allowed).toBe(true)
    const half = unknown()
    for (let i = 0; i < 5; i++) takeWhole(half, spec, 1, 1_000_000)
    expect(takeWhole(half, spec, 1, 988_000).remaining).toBe(4)
    expect(takeWhole(half, spec, 1, 1_000_000).remaining).toBe(3)
    expect(takeWhole(half, spec, 1, 1_012_000).remaining).toBe(3)
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
          const verdict = takeWhole(count, bucket, cost, now)
          expect(verdict.allowed).toBe(level >= cost * 7_000)
          if (verdict.allowed) {
            level -= cost * 7_000
            taken.push({ at: now, cost })
          } else {
            const later = structuredClone(count)
            expect(takeWhole(structuredClone(later), bucket, cost, now + verdict.resetMs - 1).allowed).toBe(false)
            expect(takeWhole(later, bucket, cost, now + verdict.resetMs).allowed).toBe(true)
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
    expect(takeWhole(count, fast, 999_999, now)).toMatchObject({ allowed: true, remaining: 1 })
    expect(takeWhole(count, fast, 1, now)).toMatchObject({ allowed: true, remaining: 0 })
    expect(takeWhole(count, fast, 1, now)).toMatchObject({ allowed: false, resetMs: 1 })
    expect(takeWhole(count, fast, 1_000_000, now + 1)).toMatchObject({ allowed: true, remaining: 0 })
  })
})

it('a refusal leaves what is kept as it was', () => {
  for (const burst of [undefined, 2]) {
    const count = unknown()
    for (let i = 0; i < 2; i++) takeWhole(count, { name: 'n', limit: 2, windowMs: 60_000, burst }, 1, 1)
    const before = { ...count }
    expect(takeWhole(count, { name: 'n', limit: 2, windowMs: 60_000, burst }, 1, 5).allowed).toBe(false)
    expect(count).toEqual(before)
  }
})

describe('a sliding window', () => {
  const windowMs = 10_000
  const asks = fc.array(
    fc.record({
      /** After a refusal, until its `resetMs` has passed. */
      untilReset: fc.boolean(),
      waitMs: fc.oneof(fc.nat(200), fc.nat(4_000)),
      /** Of the limit. */
      share: fc.integer({ min: 0, max: 40 }).map((percent) => percent / 100),
      lease: fc.boolean(),
      spentAfterMs: fc.nat(499),
    }),
    { maxLength: 120 },
  )
  const limits = fc.oneof(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 900, max: 1_100 }), fc.constant(5_000))

  it('admits at most the limit in any window, whenever its leases are spent, and keeps few marks', () => {
    fc.assert(
      fc.property(asks, limits, fc.nat(1_000_000), (steps, limit, start) => {
        const spec: LimiterSpec = { name: 'n', algorithm: 'sliding-window', limit, windowMs }
        const count = unknown()
        const spent: { at: number; amount: number }[] = []
        let now = start
        let resetMs = 0
        for (const { waitMs, untilReset, share, spentAfterMs, ...step } of steps) {
          now += untilReset ? resetMs : waitMs
          const want = Math.ceil(share * limit) + 1
          // What is taken for one request is spent at once.
          const lease = step.lease && want > 1
          const grant = takeFrom(count, spec, { want, atLeast: lease ? 1 : want }, now)
          resetMs = grant.resetMs
          expect([grant.storeNow, grant.expiresMs]).toEqual([now, 500])
          expect(grant.granted === 0 || grant.granted === want || lease).toBe(true)
          const at = now + (lease ? spentAfterMs : 0)
          if (grant.granted > 0) spent.push({ at, amount: grant.granted })
          if (grant.granted === 0 && want <= limit) {
            const later = (ms: number) =>
              takeFrom(structuredClone(count), spec, { want, atLeast: lease ? 1 : want }, now + ms)
            expect([later(resetMs - 1).granted, later(resetMs).granted]).toEqual([0, expect.toSatisfy((n) => n > 0)])
          }
          expect(count.marks?.length ?? 0).toBeLessThanOrEqual(2 * Math.min(limit, limit > 1_000 ? 145 : 1_000))
        }
        for (const { at: from } of spent) {
          const within = spent.filter(({ at }) => at >= from && at < from + windowMs)
          expect(within.reduce((sum, { amount }) => sum + amount, 0)).toBeLessThanOrEqual(limit)
        }
      }),
    )
  })

  it('refuses nothing that fits: of limits to 1,000 to the millisecond, above that 0.8 % of a window later at most', () => {
    fc.assert(
      fc.property(asks, limits, fc.nat(1_000_000), (steps, limit, start) => {
        const spec: LimiterSpec = { name: 'n', algorithm: 'sliding-window', limit, windowMs }
        const grain = grainMs(spec)
        expect(grain - 1).toBeLessThanOrEqual(limit > 1_000 ? 0.008 * windowMs : 0)
        const count = unknown()
        const taken: { at: number; amount: number }[] = []
        let now = start
        let resetMs = 0
        for (const { waitMs, untilReset, share } of steps) {
          now += untilReset ? resetMs : waitMs
          const want = Math.ceil(share * limit) + 1
          const longAgo = now - windowMs - (grain - 1)
          const counted = taken.filter(({ at }) => at > longAgo).reduce((sum, { amount }) => sum + amount, 0)
          const grant = takeFrom(count, spec, { want, atLeast: want }, now)
          if (counted + want <= limit) expect(grant.granted).toBe(want)
          if (grant.granted > 0) taken.push({ at: now, amount: want })
          resetMs = grant.resetMs
        }
      }),
    )
  })

  it('knows when there is more, and starts anew after a clock that has jumped far back', () => {
    const spec: LimiterSpec = { name: 'n', algorithm: 'sliding-window', limit: 3, windowMs }
    const one = { want: 1, atLeast: 1 }
    const count = unknown()
    expect(takeFrom(count, spec, { want: 0, atLeast: 0 }, 100_000)).toMatchObject({ granted: 0, remaining: 3 })
    expect(takeFrom(count, spec, one, 100_000)).toMatchObject({ granted: 1, remaining: 2, resetMs: 10_000 })
    expect(takeFrom(count, spec, { want: 5, atLeast: 1 }, 102_000)).toMatchObject({ granted: 2, resetMs: 8_000 })
    expect(takeFrom(count, spec, one, 103_000)).toMatchObject({ granted: 0, remaining: 0, resetMs: 7_000 })
    // The lease may have been spent until 102.5 s.
    expect(takeFrom(count, spec, { want: 2, atLeast: 2 }, 103_000)).toMatchObject({ granted: 0, resetMs: 9_500 })
    expect(takeFrom(count, spec, one, 99_000).granted).toBe(0)
    expect(takeFrom(count, spec, one, 50_000).granted).toBe(1)
  })
})

describe('a fixed window', () => {
  it('admits at most the limit in each, everything while there is room, and no lease past its end', () => {
    const steps = fc.array(
      fc.record({ waitMs: fc.nat(700), want: fc.nat(5), atLeast: fc.nat(5) }).filter((ask) => ask.atLeast <= ask.want),
    )
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 9 }), (asks, limit) => {
        const spec: LimiterSpec = { name: 'n', algorithm: 'fixed-window', limit, windowMs: 3_000 }
        const count = unknown()
        const used = new Map<number, number>()
        let now = 0
        for (const { waitMs, want, atLeast } of asks) {
          now += waitMs
          const window = Math.floor(now / 3_000)
          const left = limit - (used.get(window) ?? 0)
          const { granted, expiresMs, remaining, resetMs } = takeFrom(count, spec, { want, atLeast }, now)
          expect(granted).toBe(Math.min(want, left) >= atLeast ? Math.min(want, left) : 0)
          used.set(window, limit - left + granted)
          expect([remaining, resetMs]).toEqual([left - granted, (window + 1) * 3_000 - now])
          expect(expiresMs).toBe(Math.min(1_000, resetMs))
        }
      }),
    )
  })
})
