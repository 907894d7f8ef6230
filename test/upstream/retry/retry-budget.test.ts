import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeRetryBudget, type RetryBudget } from '../../../src/upstream/retry/retry-budget.ts'
import { parseRetryAfter } from '../../../src/upstream/retry/retry.ts'

it('gives the floor when there are few requests, and a share when there are many', () => {
  const taken = (requests: number) => {
    const budget = makeRetryBudget({ percent: 20, window: 10_000, minPerSecond: 1 })
    for (let i = 0; i < requests; i++) budget.countRequest(50_000)
    let retries = 0
    while (budget.take(50_000)) retries++
    return retries
  }
  expect([taken(0), taken(100), taken(1_000)]).toEqual([1, 21, 201])
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

it('lets the floor go in no burst of more than a second’s worth', () => {
  const budget = makeRetryBudget({ percent: 0, window: 10_000, minPerSecond: 3 })
  const taken = [0, 0, 0, 0, 333, 334, 500, 667, 5_000, 5_000, 5_000, 5_000].map((ms) => budget.take(1e12 + ms))
  expect(taken.map(Number).join('')).toBe('111001011110')
})

describe('over any sequence of requests and tries', () => {
  const steps = fc.array(fc.record({ after: fc.nat(700), requests: fc.nat(20), tries: fc.nat(10) }), { maxLength: 60 })
  type Steps = readonly { readonly after: number; readonly requests: number; readonly tries: number }[]
  const START = 10_000

  /** Calls `granted` at each grant with the times of all requests and retries so far. */
  const play = (
    budget: RetryBudget,
    all: Steps,
    granted: (now: number, requests: readonly number[], retries: readonly number[]) => void,
  ) => {
    const requests: number[] = []
    const retries: number[] = []
    let now = START
    for (const step of all) {
      now += step.after
      for (let i = 0; i < step.requests; i++) {
        budget.countRequest(now)
        requests.push(now)
      }
      for (let i = 0; i < step.tries; i++) {
        if (!budget.take(now)) continue
        retries.push(now)
        granted(now, requests, retries)
      }
    }
  }

  it('the share of the window before is never exceeded', () => {
    const property = fc.property(steps, fc.nat(100), (all, percent) => {
      play(makeRetryBudget({ percent, window: 1_000, minPerSecond: 0 }), all, (now, requests, retries) => {
        const latest = (times: readonly number[]) => times.filter((at) => at > now - 1_000).length
        expect(latest(retries)).toBeLessThanOrEqual((latest(requests) * percent) / 100)
      })
    })
    fc.assert(property)
  })

  it('retries ≤ share × requests + floor × (seconds + 1)', () => {
    const property = fc.property(steps, fc.nat(100), fc.nat(5), (all, percent, minPerSecond) => {
      play(makeRetryBudget({ percent, window: 1_000, minPerSecond }), all, (now, requests, retries) => {
        const floor = minPerSecond * ((now - START) / 1_000 + 1)
        expect(retries.length).toBeLessThanOrEqual((requests.length * percent) / 100 + floor)
      })
    })
    fc.assert(property)
  })
})

it('reads Retry-After in both its forms', () => {
  const now = Date.UTC(2026, 0, 1)
  expect(
    ['3', 'Thu, 01 Jan 2026 00:00:05 GMT', 'Wed, 31 Dec 2025 00:00:00 GMT', 'soon', '-1', null].map((text) =>
      parseRetryAfter(text, now),
    ),
  ).toEqual([3_000, 5_000, 0, undefined, undefined, undefined])
})

it('reads the dates of Retry-After in all three forms of HTTP-date, and refuses days that do not exist', () => {
  const now = Date.UTC(1994, 10, 6, 8, 49, 30)
  const dates = ['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994']
  expect(dates.map((text) => parseRetryAfter(text, now))).toEqual([7_000, 7_000, 7_000])
  expect(parseRetryAfter('Sat, 31 Feb 2026 00:00:00 GMT', now)).toBeUndefined()
})
