import { describe, expect, it } from 'vitest'
import {
  configureChecks,
  HEALTHY,
  NO_ROUND,
  recordCheck,
  startRound,
  type HealthSettings,
} from '../../../src/upstream/health/health.ts'

const T = 1_000_000
const settings: HealthSettings = {
  targets: { a: 'http://a/health', b: 'http://b/health' },
  interval: 10_000,
  timeout: 1_000,
  unhealthyThreshold: 1,
  healthyThreshold: 1,
}
const FIRST = configureChecks(undefined, settings, T)
const STARTED = startRound(FIRST, T, 0)
const UNHEALTHY = { state: 'unhealthy', successes: 0, since: T, fault: 'timeout' } as const
const A_UNHEALTHY = recordCheck(STARTED, 'a', 'http://a/health', 'timeout', T)

describe('a report', () => {
  it('starts the checks at once, and trusts each target until then', () => {
    expect(FIRST).toEqual({
      settings,
      targets: { a: HEALTHY, b: HEALTHY },
      reportedAt: T,
      startedAt: NO_ROUND,
      dueAt: T,
    })
  })

  it('that says the same is remembered every ten seconds', () => {
    expect(configureChecks(STARTED, structuredClone(settings), T + 9_999)).toBe(STARTED)
    expect(configureChecks(STARTED, settings, T + 10_000)).toEqual({ ...STARTED, reportedAt: T + 10_000 })
  })

  it.each<[what: string, change: Partial<HealthSettings>]>([
    ['interval', { interval: 5_000 }],
    ['longer interval', { interval: 60_000 }],
    ['timeout', { timeout: 500 }],
    ['threshold', { unhealthyThreshold: 2 }],
    ['target', { targets: { ...settings.targets, c: 'http://c/health' } }],
    ['path', { targets: { a: 'http://a/', b: 'http://b/' } }],
  ])('of a new %s is gone by at once', (_, change) => {
    const next = { ...settings, ...change }
    expect(configureChecks(STARTED, next, T + 5_000)).toMatchObject({ settings: next, dueAt: T + 5_000 })
  })

  it('never brings two rounds into one second, however the settings change', () => {
    const changed = configureChecks(STARTED, { ...settings, timeout: 500 }, T + 300)
    expect(changed.dueAt).toBe(T + 1_000)
    expect(configureChecks(changed, settings, T + 400).dueAt).toBe(T + 1_000)
  })

  it('forgets a target that is gone, and keeps what is known of the others', () => {
    const { a, b } = settings.targets as { a: string; b: string }
    expect(configureChecks(A_UNHEALTHY, { ...settings, targets: { a } }, T).targets).toEqual({ a: UNHEALTHY })
    const without = configureChecks(A_UNHEALTHY, { ...settings, targets: { b } }, T)
    expect(configureChecks(without, settings, T).targets).toEqual({ a: HEALTHY, b: HEALTHY })
  })

  it.each([
    ['is late', T + 10_999, false],
    ['was lost', T + 11_000, true],
    ['is far off since the clock was put back', T - 3_600_000, true],
  ])('sets a round anew that %s: at %d, %s', (_, now, isSet) => {
    expect(configureChecks(STARTED, settings, now).dueAt).toBe(isSet ? now : STARTED.dueAt)
  })

  it('starts the checks of an upstream that was unused', () => {
    expect(configureChecks({ ...STARTED, dueAt: NO_ROUND }, settings, T + 90_000).dueAt).toBe(T + 90_000)
  })
})

describe('a round', () => {
  it.each([
    [0, 10_000],
    [0.5, 9_000],
    [1, 8_000],
  ])('with the chance %d is followed by one after %d ms', (random, ms) => {
    expect(startRound(FIRST, T, random)).toEqual({ ...FIRST, startedAt: T, dueAt: T + ms })
  })

  it.each([
    ['a minute', 10_000, 60_000],
    ['three intervals', 30_000, 90_000],
  ])('does not begin after %s without a report', (_, interval, ms) => {
    const plan = configureChecks(undefined, { ...settings, interval }, T)
    expect(startRound(plan, T + ms - 1, 0).dueAt).toBe(T + ms - 1 + interval)
    expect(startRound(plan, T + ms, 0)).toEqual({ ...plan, dueAt: NO_ROUND })
  })
})

describe('an answer', () => {
  it('is judged', () => {
    expect(A_UNHEALTHY).toEqual({ ...STARTED, targets: { a: UNHEALTHY, b: HEALTHY } })
  })

  it('that is no news changes nothing', () => {
    expect(recordCheck(A_UNHEALTHY, 'a', 'http://a/health', 'status 500', T + 1)).toBe(A_UNHEALTHY)
    expect(recordCheck(A_UNHEALTHY, 'b', 'http://b/health', undefined, T + 1)).toBe(A_UNHEALTHY)
  })

  it('from where nobody asks any more changes nothing', () => {
    expect(recordCheck(STARTED, 'c', 'http://c/health', 'timeout', T)).toBe(STARTED)
    expect(recordCheck(STARTED, 'a', 'http://a/', 'timeout', T)).toBe(STARTED)
  })
})
