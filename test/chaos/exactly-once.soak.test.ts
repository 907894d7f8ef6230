import { expect, it } from 'vitest'
import { tally } from '../support/callers.ts'
import { postThroughResets } from '../support/exactly-once.ts'

it('sends none of 5,000 POSTs twice while connections keep being reset, and answers well only for what arrived', async () => {
  const { answers, resets, twice, unrecorded } = await postThroughResets(5_000)
  expect({ twice, unrecorded }).toEqual({ twice: [], unrecorded: [] })
  expect(resets).toBeGreaterThan(200)
  const counts = tally(answers)
  expect(counts['200']).toBeGreaterThan(2_500)
  expect(counts['upstream-unreachable']).toBeGreaterThan(100)
  expect(counts['200']! + counts['upstream-unreachable']!).toBe(5_000)
})
