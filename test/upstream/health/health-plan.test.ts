import { describe, expect, it } from 'vitest'
import {
  HEALTHY,
  type HealthSettings,
  beginCheck,
  applyCheckResult,
  updatePlan,
  NEVER_CHECKED,
} from '../../../src/upstream/health/health.ts'

const T = 1_000_000
const settings: HealthSettings = {
  targets: { a: 'http://a/health', b: 'http://b/health' },
  interval: 10_000,
  timeout: 1_000,
  unhealthyThreshold: 1,
  healthyThreshold: 1,
}
const FIRST = applyCheckResult(undefined, settings, T)
const ASKED = beginCheck(FIRST, T, 0)
const SICK = { state: 'unhealthy', successes: 0, since: T, fault: 'timeout' } as const
const A_SICK = updatePlan(ASKED, 'a', 'http://a/health', 'timeout', T)

describe('a report', () => {
  it('starts the checks at once, and trusts each target until then', () => {
    expect(FIRST).toEqual({
      settings,
      targets: { a: HEALTHY, b: HEALTHY },
      heardAt: T,
      startedAt: NEVER_CHECKED,
      dueAt: T,
    })
  })

  it('that says the same is remembered every ten seconds', () => {
    expect(applyCheckResult(ASKED, structuredClone(settings), T + 9_999)).toBe(ASKED)
    expect(applyCheckResult(ASKED, settings, T + 10_000)).toEqual({ ...ASKED, heardAt: T + 10_000 })
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
    expect(applyCheckResult(ASKED, next, T + 5_000)).toMatchObject({ settings: next, dueAt: T + 5_000 })
  })

  it('never brings two rounds into one second, however the settings change', () => {
    const changed = applyCheckResult(ASKED, { ...settings, timeout: 500 }, T + 300)
    expect(changed.dueAt).toBe(T + 1_000)
    expect(applyCheckResult(changed, settings, T + 400).dueAt).toBe(T + 1_000)
  })

  it('forgets a target that is gone, and keeps what is known of the others', () => {
    const { a, b } = settings.targets as { a: string; b: string }
    expect(applyCheckResult(A_SICK, { ...settings, targets: { a } }, T).targets).toEqual({ a: SICK })
    const without = applyCheckResult(A_SICK, { ...settings, targets: { b } }, T)
    expect(applyCheckResult(without, settings, T).targets).toEqual({ a: HEALTHY, b: HEALTHY })
  })

  it.each([
    ['is late', T + 10_999, false],
    ['was lost', T + 11_000, true],
    ['is far off since the clock was put back', T - 3_600_000, true],
  ])('sets a round anew that %s: at %d, %s', (_, now, isSet) => {
    expect(applyCheckResult(ASKED, settings, now).dueAt).toBe(isSet ? now : ASKED.dueAt)
  })

  it('starts the checks of an upstream that was unused', () => {
    expect(applyCheckResult({ ...ASKED, dueAt: NEVER_CHECKED }, settings, T + 90_000).dueAt).toBe(T + 90_000)
  })
})

describe('a round', () => {
  it.each([
    [0, 10_000],
    [0.5, 9_000],
    [1, 8_000],
  ])('with the chance %d is followed by one after %d ms', (random, ms) => {
    expect(beginCheck(FIRST, T, random)).toEqual({ ...FIRST, startedAt: T, dueAt: T + ms })
  })

  it.each([
    ['a minute', 10_000, 60_000],
    ['three intervals', 30_000, 90_000],
  ])('does not begin after %s without a report', (_, interval, ms) => {
    const plan = applyCheckResult(undefined, { ...settings, interval }, T)
    expect(beginCheck(plan, T + ms - 1, 0).dueAt).toBe(T + ms - 1 + interval)
    expect(beginCheck(plan, T + ms, 0)).toEqual({ ...plan, dueAt: NEVER_CHECKED })
  })
})

describe('an answer', () => {
  it('is judged', () => {
    expect(A_SICK).toEqual({ ...ASKED, targets: { a: SICK, b: HEALTHY } })
  })

  it('that is no news changes nothing', () => {
    expect(updatePlan(A_SICK, 'a', 'http://a/health', 'status 500', T + 1)).toBe(A_SICK)
    expect(updatePlan(A_SICK, 'b', 'http://b/health', undefined, T + 1)).toBe(A_SICK)
  })

  it('from where nobody asks any more changes nothing', () => {
    expect(updatePlan(ASKED, 'c', 'http://c/health', 'timeout', T)).toBe(ASKED)
    expect(updatePlan(ASKED, 'a', 'http://a/', 'timeout', T)).toBe(ASKED)
  })
})
