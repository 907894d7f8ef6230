import { expect, it } from 'vitest'
import type { Platform } from '../../../src/core/platform.ts'
import { makeBreakerReporter } from '../../../src/upstream/circuit-breaker/breaker-reporter.ts'
import type { BreakerReport } from '../../../src/upstream/circuit-breaker/breaker-report.ts'
import { makeTestPlatform } from '../../support/platform.ts'

const settings = {
  failureRate: 50,
  slowCallRate: 100,
  minimumRequests: 1,
  window: 10_000,
  openDuration: 1_000,
  maxOpenDuration: 4_000,
  halfOpenProbes: 1,
}
const report: BreakerReport = {
  upstream: 'u',
  region: 'weur',
  settings,
  counters: { calls: 1, failures: 1, slow: 0 },
  spent: [],
  probes: [],
  wantsLease: false,
  health: undefined,
}
const makeReporter = (getByName: unknown) =>
  makeBreakerReporter(makeTestPlatform({ breakers: { getByName } as unknown as Platform['breakers'] }))

it.each<[string, () => unknown]>([
  [
    'cannot be named',
    () => {
      throw new Error('overloaded')
    },
  ],
  ['rejects', () => ({ report: () => Promise.reject(new Error('reset')) })],
  ['is of the version before, or cannot say', () => ({ report: () => Promise.resolve(undefined) })],
  ['hangs', () => ({ report: () => new Promise(() => {}) })],
])('decides alone while the object %s', async (_, getByName) => {
  const reporter = makeReporter(getByName)
  expect(await reporter.report(report)).toEqual({ state: 'open', forMs: 1_000 })
  expect([reporter.isAlone(), reporter.timesAlone()]).toEqual([true, 1])
})

it('names the object of its region, and has it made there', async () => {
  const named: unknown[] = []
  const reporter = makeReporter((...args: unknown[]) => {
    named.push(args)
    return { report: () => Promise.resolve({ state: 'closed' }) }
  })
  await reporter.report(report)
  await reporter.report({ ...report, region: 'local' })
  expect(named).toEqual([
    ['weur:u', { locationHint: 'weur' }],
    ['local:u', undefined],
  ])
})

it('goes on from what it heard last, and holds on to an operator’s word', async () => {
  let update: object | undefined
  const reporter = makeReporter(() => ({ report: () => Promise.resolve(update) }))
  const quiet = { ...report, counters: { calls: 0, failures: 0, slow: 0 } }
  for (const last of [
    { state: 'open', forMs: 60_000, forced: true, targets: { 'a:80': 'drained' } },
    { state: 'closed', forced: true },
  ]) {
    update = last
    await reporter.report(quiet)
    update = undefined
    expect(await reporter.report(report)).toEqual(last)
  }
  update = { state: 'open', forMs: 60_000 }
  await reporter.report(quiet)
  expect(reporter.isAlone()).toBe(false)
  update = undefined
  // Clamped by its own settings.
  expect(await reporter.report(quiet)).toEqual({ state: 'open', forMs: 4_000 })
})
