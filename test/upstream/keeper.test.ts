import { expect, it } from 'vitest'
import type { Site } from '../../src/policy.ts'
import type { Report } from '../../src/upstream/circuit-report.ts'
import { makeKeeper } from '../../src/upstream/keeper.ts'
import { makeTestSite } from '../support/site.ts'

const settings = {
  failureRate: 50,
  slowCallRate: 100,
  minimumRequests: 1,
  window: 10_000,
  openDuration: 1_000,
  maxOpenDuration: 4_000,
  halfOpenProbes: 1,
}
const report: Report = { settings, tally: { calls: 1, failures: 1, slow: 0 } }

it.each<[string, () => unknown]>([
  [
    'cannot be named',
    () => {
      throw new Error('overloaded')
    },
  ],
  ['rejects', () => ({ report: () => Promise.reject(new Error('reset')) })],
  ['cannot say', () => ({ report: () => Promise.resolve(undefined) })],
  ['hangs', () => ({ report: () => new Promise(() => {}) })],
])('decides alone while the object %s', async (_, getByName) => {
  const keeper = makeKeeper('u', makeTestSite({ breakers: { getByName } as unknown as Site['breakers'] }))
  expect(await keeper.tell(report)).toEqual({ state: 'open', forMs: 1_000 })
  expect(keeper.isAlone()).toBe(true)
})
