import fc from 'fast-check'
import { expect, it } from 'vitest'
import { makeLatencyWindow } from '../../../src/upstream/retry/hedged-attempt.ts'

function after(samples: readonly number[]): number | undefined {
  const latency = makeLatencyWindow()
  for (const ms of samples) latency.record(ms)
  return latency.p95()
}

it('says nothing of fewer than 20 answers', () => {
  expect([after(Array(19).fill(5)), after(Array(20).fill(5))]).toEqual([undefined, 5])
})

it('is the 95th percentile by nearest rank of the latest 256', () => {
  const samples = fc.array(fc.nat(10_000), { minLength: 20, maxLength: 600 })
  fc.assert(
    fc.property(samples, (all) => {
      const latest = all.slice(-256).toSorted((a, b) => a - b)
      expect(after(all)).toBe(latest[Math.ceil(latest.length * 0.95) - 1])
    }),
  )
})

it('is at most 16 answers old, and learns of a slower origin within 13 slow answers and those', () => {
  const latency = makeLatencyWindow()
  for (let i = 0; i < 256; i++) latency.record(5)
  expect(latency.p95()).toBe(5)
  let slow = 0
  while (latency.p95() === 5) {
    latency.record(900)
    slow++
  }
  expect([latency.p95(), slow <= 13 + 16]).toEqual([900, true])
})

it('lies between the 92nd and the 98th percentile of an even spread, in 19 of 20 cases', () => {
  let seed = 7
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
  const estimates = Array.from({ length: 200 }, () => after(Array.from({ length: 256 }, () => random() * 100))!)
  expect(estimates.filter((p95) => p95 > 92 && p95 < 98).length).toBeGreaterThanOrEqual(190)
})
