import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  healthSettings,
  HEALTHY,
  judgeHealth,
  type CheckFailure,
  type Health,
} from '../../../src/upstream/health/health.ts'
import { makeTargets } from '../../../src/upstream/target.ts'

const T = 1_000_000
const settings = { targets: {}, interval: 10_000, timeout: 1_000, unhealthyThreshold: 3, healthyThreshold: 2 }
const FAILED = 'status 500'
const UNHEALTHY: Health = { state: 'unhealthy', successes: 0, since: T, fault: FAILED }

describe('one more check', () => {
  it.each<[what: string, before: Health, fault: CheckFailure | undefined, after: Health]>([
    ['a good answer of a healthy target', HEALTHY, undefined, HEALTHY],
    ['the first failure', HEALTHY, FAILED, { state: 'healthy', failures: 1 }],
    ['another', { state: 'healthy', failures: 1 }, FAILED, { state: 'healthy', failures: 2 }],
    ['a good answer in between', { state: 'healthy', failures: 2 }, undefined, HEALTHY],
    ['the last one that was missing', { state: 'healthy', failures: 2 }, FAILED, UNHEALTHY],
    ['a failure of an unhealthy target', UNHEALTHY, 'timeout', UNHEALTHY],
    ['its first good answer', UNHEALTHY, undefined, { ...UNHEALTHY, successes: 1 }],
    ['a failure in between', { ...UNHEALTHY, successes: 1 }, 'timeout', UNHEALTHY],
    ['the last good one that was missing', { ...UNHEALTHY, successes: 1 }, undefined, HEALTHY],
  ])('%s', (_, before, fault, after) => {
    expect(judgeHealth(before, fault, settings, T)).toEqual(after)
  })

  it('changes nothing where there is nothing new, so that nothing is written', () => {
    expect(judgeHealth(HEALTHY, undefined, settings, T)).toBe(HEALTHY)
    expect(judgeHealth(UNHEALTHY, FAILED, settings, T + 10_000)).toBe(UNHEALTHY)
  })

  it('is enough with thresholds of one, both ways', () => {
    const one = { unhealthyThreshold: 1, healthyThreshold: 1 }
    const sick = judgeHealth(HEALTHY, FAILED, one, T)
    expect([sick, judgeHealth(sick, undefined, one, T)]).toEqual([UNHEALTHY, HEALTHY])
  })

  it('goes by thresholds that were lowered meanwhile', () => {
    const one = { unhealthyThreshold: 1, healthyThreshold: 1 }
    expect(judgeHealth({ state: 'healthy', failures: 2 }, FAILED, one, T)).toEqual(UNHEALTHY)
  })
})

const thresholds = fc.record({
  unhealthyThreshold: fc.integer({ min: 1, max: 5 }),
  healthyThreshold: fc.integer({ min: 1, max: 5 }),
})

describe('damping', () => {
  it('never changes the state on fewer results in a row than the threshold, and always on that many', () => {
    fc.assert(
      fc.property(thresholds, fc.array(fc.boolean(), { maxLength: 200 }), (limits, results) => {
        let health: Health = HEALTHY
        let alike = 0
        results.forEach((good, i) => {
          alike = good === results[i - 1] ? alike + 1 : 1
          const before = health
          health = judgeHealth(before, good ? undefined : FAILED, limits, T + i)
          const agrees = good === (before.state === 'healthy')
          const threshold = good ? limits.healthyThreshold : limits.unhealthyThreshold
          expect(health.state !== before.state).toBe(!agrees && alike >= threshold)
        })
      }),
    )
  })

  it('never flaps under alternating results', () => {
    const atLeastTwo = fc.record({
      unhealthyThreshold: fc.integer({ min: 2, max: 5 }),
      healthyThreshold: fc.integer({ min: 2, max: 5 }),
    })
    fc.assert(
      fc.property(atLeastTwo, fc.constantFrom(HEALTHY, UNHEALTHY), fc.nat(100), (limits, start, length) => {
        let health: Health = start
        for (let i = 0; i < length; i++) health = judgeHealth(health, i % 2 === 0 ? FAILED : undefined, limits, T)
        expect(health.state).toBe(start.state)
      }),
    )
  })
})

it('asks behind the path of each target, each target once', () => {
  const urls = ['http://a.test/v1/', 'https://b.test', 'https://b.test']
  const targets = makeTargets(
    'users',
    urls.map((url) => ({ url, weight: 1 })),
    () => undefined,
  )
  const { targets: asked } = healthSettings({ ...settings, path: '/health?deep=1' }, targets)
  expect(Object.values(asked)).toEqual(['http://a.test/v1/health?deep=1', 'https://b.test/health?deep=1'])
})
