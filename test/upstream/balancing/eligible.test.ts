import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { eligible } from '../../../src/upstream/balancing/outlier.ts'
import type { Target } from '../../../src/upstream/target.ts'
import { makeTestTargets, nameOf } from '../../support/targets.ts'

const NOW = 1_000_000
const eject = (target: Target) => {
  target.outlierState = { state: 'ejected', ejections: 1, since: NOW, ms: 30_000 }
}
const namesOf = (
  targets: readonly Target[],
  { avoided = [], panic = 50, now = NOW }: { avoided?: number[]; panic?: number; now?: number } = {},
) => {
  const labels = avoided.map((nth) => targets[nth]!.label)
  return eligible(targets, labels, panic, now).map(nameOf).join(' ')
}

describe('eligible', () => {
  it('is the same list while nothing is wrong', () => {
    const targets = makeTestTargets(1, 1)
    expect(eligible(targets, [], 50, NOW)).toBe(targets)
  })

  it('passes over what rests, unless all do', () => {
    const targets = makeTestTargets(1, 1)
    targets[0]!.failedAt = NOW
    expect(namesOf(targets, { now: NOW + 999 })).toBe('t1')
    expect(namesOf(targets, { now: NOW + 1_000 })).toBe('t0 t1')
    targets[1]!.failedAt = NOW
    expect(namesOf(targets, { now: NOW + 500 })).toBe('t0 t1')
  })

  it('does not let one rest for longer because the clock was set back', () => {
    const targets = makeTestTargets(1, 1)
    targets[0]!.failedAt = NOW + 3_600_000
    expect(namesOf(targets)).toBe('t0 t1')
  })

  it('takes one that rests before one that failed this request, and either before one that is ejected', () => {
    const targets = makeTestTargets(1, 1, 1)
    targets[0]!.failedAt = NOW
    expect(namesOf(targets, { avoided: [1, 2] })).toBe('t0')
    eject(targets[2]!)
    expect(namesOf(targets, { avoided: [0] })).toBe('t1')
    expect(namesOf(targets, { avoided: [0, 1] })).toBe('t1')
  })

  it('comes back to a failed target when there is no other', () => {
    expect(namesOf(makeTestTargets(1), { avoided: [0] })).toBe('t0')
  })

  it('passes over what is ejected or unhealthy, until fewer are left than the panic threshold says', () => {
    const targets = makeTestTargets(1, 1, 1, 1)
    eject(targets[0]!)
    expect(namesOf(targets)).toBe('t1 t2 t3')
    targets[1]!.condition = 'unhealthy'
    expect(namesOf(targets)).toBe('t2 t3')
    targets[2]!.condition = 'unhealthy'
    expect(namesOf(targets)).toBe('t0 t1 t2 t3')
    expect(namesOf(targets, { panic: 25 })).toBe('t3')
    expect(namesOf(targets, { now: NOW + 30_000, panic: 0 })).toBe('t0 t3')
  })

  it('never gives out what is drained, nor counts it among what could be healthy', () => {
    const targets = makeTestTargets(1, 1, 1)
    targets[0]!.condition = 'drained'
    targets[1]!.condition = 'unhealthy'
    expect(namesOf(targets)).toBe('t2')
    eject(targets[2]!)
    expect(namesOf(targets)).toBe('t1 t2')
    targets[1]!.condition = 'drained'
    expect(namesOf(targets)).toBe('t2')
    targets[2]!.condition = 'drained'
    expect(namesOf(targets)).toBe('')
  })

  it('gives out nothing when all are unhealthy and health is never ignored, but never takes ejections that far', () => {
    const targets = makeTestTargets(1, 1)
    for (const target of targets) target.condition = 'unhealthy'
    expect(namesOf(targets, { panic: 0 })).toBe('')
    for (const target of targets) target.condition = 'ok'
    targets.forEach(eject)
    expect(namesOf(targets, { panic: 0 })).toBe('t0 t1')
  })

  it('whatever is wrong: nothing drained, something unless all are drained, nothing worse than what is left out', () => {
    const state = fc.record({
      condition: fc.constantFrom('ok' as const, 'unhealthy' as const, 'drained' as const),
      ejected: fc.boolean(),
      resting: fc.boolean(),
      avoided: fc.boolean(),
    })
    fc.assert(
      fc.property(
        fc.array(state, { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 100 }),
        (states, panic) => {
          const targets = makeTestTargets(...states.map(() => 1))
          targets.forEach((target, i) => {
            target.condition = states[i]!.condition
            if (states[i]!.resting) target.failedAt = NOW
            if (states[i]!.ejected) eject(target)
          })
          const avoided = targets.filter((_, i) => states[i]!.avoided).map(({ label }) => label)
          const given = eligible(targets, avoided, panic, NOW)
          const inUse = targets.filter(({ condition }) => condition !== 'drained')
          const isHealthy = (target: Target) => target.condition === 'ok' && target.outlierState.state === 'in'
          const healthy = inUse.filter(isHealthy)
          expect(given.length > 0).toBe(inUse.length > 0)
          expect(given.every((target) => inUse.includes(target))).toBe(true)
          if (healthy.length * 100 >= panic * inUse.length) expect(given.every(isHealthy)).toBe(true)
          else if (avoided.length === 0) {
            const awake = inUse.filter(({ failedAt }) => failedAt !== NOW)
            expect(given).toEqual(awake.length > 0 ? awake : inUse)
          }
        },
      ),
    )
  })
})
