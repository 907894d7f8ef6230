import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parseRetryAfter } from '../../src/upstream/retry-after.ts'
import { makeRetryBudget } from '../../src/upstream/retry-budget.ts'

it('gives the floor when there are few requests, and a share when there are many', () => {
  const taken = (requests: number) => {
    const budget = makeRetryBudget({ percent: 20, window: 10_000, minPerSecond: 1 })
    for (let i = 0; i < requests; i++) budget.countRequest(50_000)
    let retries = 0
    while (budget.take(50_000)) retries++
    return retries
  }
  expect([taken(0), taken(100), taken(1_000)]).toEqual([10, 30, 210])
})

it('comes back with time', () => {
  const budget = makeRetryBudget({ percent: 0, window: 10_000, minPerSecond: 0.1 })
  expect([budget.take(0), budget.take(9_999), budget.take(11_000), budget.take(500_000)]).toEqual([
    true,
    false,
    true,
    true,
  ])
})

it('comes back although the clock was set back', () => {
  const budget = makeRetryBudget({ percent: 0, window: 10_000, minPerSecond: 0.1 })
  expect([3_600_000, 3_599_000, 5_000, 6_000, 16_000].map((now) => budget.take(now))).toEqual([
    true,
    false,
    true,
    false,
    true,
  ])
})

it('never grants more than the window before has room for', () => {
  const events = fc.array(fc.record({ after: fc.nat(700), requests: fc.nat(20), tries: fc.nat(10) }), { maxLength: 60 })
  fc.assert(
    fc.property(events, (steps) => {
      const budget = makeRetryBudget({ percent: 20, window: 1_000, minPerSecond: 2 })
      const requests: number[] = []
      const retries: number[] = []
      let now = 10_000
      for (const { after, requests: count, tries } of steps) {
        now += after
        for (let i = 0; i < count; i++) {
          budget.countRequest(now)
          requests.push(now)
        }
        for (let i = 0; i < tries; i++) {
          if (!budget.take(now)) continue
          retries.push(now)
          const within = (times: number[], ms: number) => times.filter((at) => at > now - ms).length
          // The slots may see up to a tenth of a window further back.
          expect(within(retries, 1_000)).toBeLessThanOrEqual(within(requests, 1_100) * 0.2 + 2)
        }
      }
    }),
  )
})

it('reads Retry-After in both its forms', () => {
  const now = Date.UTC(2026, 0, 1)
  expect(
    ['3', 'Thu, 01 Jan 2026 00:00:05 GMT', 'Wed, 31 Dec 2025 00:00:00 GMT', 'soon', '-1', null].map((text) =>
      parseRetryAfter(text, now),
    ),
  ).toEqual([3_000, 5_000, 0, undefined, undefined, undefined])
})
