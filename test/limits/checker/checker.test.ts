import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { takeFrom, type WindowCount } from '../../../src/limits/store/windows.ts'
import type { Rule } from './bounds.ts'
import { excess, judge, type Logged } from './judge.ts'
import { join } from './ledger.ts'
import type { Taken } from './windows.ts'

const ALGORITHMS = ['fixed-window', 'sliding-window', 'token-bucket'] as const

const rules: fc.Arbitrary<Rule> = fc
  .record({
    algorithm: fc.constantFrom(...ALGORITHMS),
    limit: fc.integer({ min: 1, max: 30 }),
    windowMs: fc.constantFrom(1_000, 3_000),
    burst: fc.integer({ min: 3, max: 40 }),
  })
  .map(({ burst, ...rule }) => ({
    name: 'n',
    consistency: 'strict',
    ...rule,
    ...(rule.algorithm === 'token-bucket' && { burst }),
  }))

const asks = fc.array(fc.record({ waitMs: fc.oneof(fc.nat(3), fc.nat(400)), cost: fc.integer({ min: 1, max: 3 }) }), {
  minLength: 1,
  maxLength: 150,
})

const START = 1_700_000_000_000

function logged(parts: Partial<Logged>): Logged {
  return {
    event: 'limit',
    at: START,
    id: 'a',
    limiter: 'n',
    policy: '"n";q=1;w=1',
    key: 'k',
    cost: 1,
    outcome: 'admitted',
    consistency: 'strict',
    isolate: 'one',
    ...parts,
  }
}

/** What an exact limiter decides. */
function decide(rule: Rule, steps: readonly { waitMs: number; cost: number }[]): Logged[] {
  const count: WindowCount = { endsAt: 0, used: 0 }
  let at = START
  return steps.map(({ waitMs, cost }, i) => {
    at += waitMs
    const { granted } = takeFrom(count, rule, { want: cost, atLeast: cost }, at)
    return logged({ at, cost, id: `${i}`, outcome: granted > 0 ? 'admitted' : 'refused' })
  })
}

/** The same as `excess`, window by window, in words. */
function mostAbove(taken: readonly Taken[], { algorithm, limit, windowMs }: Rule, capacity: number): number {
  const sums = taken.flatMap((first, i) =>
    taken.slice(i).map((last, j) => {
      const sum = taken.slice(i, i + j + 1).reduce((all, { cost }) => all + cost, 0)
      const passed = last.at - first.at
      if (algorithm === 'token-bucket') return sum - (limit / windowMs) * passed
      const isOneWindow =
        algorithm === 'fixed-window'
          ? Math.floor(first.at / windowMs) === Math.floor(last.at / windowMs)
          : passed < windowMs
      return isOneWindow ? sum : -Infinity
    }),
  )
  return Math.max(...sums) - capacity
}

describe('the checker', () => {
  it('finds in every window what one that looks at each by itself finds', () => {
    const property = fc.property(rules, asks, fc.integer({ min: 1, max: 30 }), (rule, steps, capacity) => {
      const taken = decide({ ...rule, limit: 1e9, burst: 1e9 }, steps)
      expect(excess(taken, rule, capacity)).toBeCloseTo(mostAbove(taken, rule, capacity), 6)
    })
    fc.assert(property, { numRuns: 300 })
  })

  it('has nothing to say against a limiter that is exact', () => {
    const property = fc.property(rules, asks, (rule, steps) => {
      expect(judge(decide(rule, steps), rule)).toMatchObject({ over: 0, under: 0, wrong: 0 })
    })
    fc.assert(property, { numRuns: 300 })
  })

  it('sees each single request that was admitted and should not have been', () => {
    let planted = 0
    const property = fc.property(rules, asks, fc.nat(), (rule, steps, nth) => {
      const decisions = decide(rule, steps)
      const refused = decisions.filter(({ outcome }) => outcome === 'refused')
      if (refused.length === 0) return
      const one = refused[nth % refused.length]!
      const { over } = judge(
        decisions.map((decision) => (decision === one ? logged({ ...one, outcome: 'admitted' }) : decision)),
        rule,
      )
      expect(over).toBeGreaterThan(0)
      if (rule.algorithm !== 'token-bucket') expect(over).toBeGreaterThanOrEqual(1)
      planted++
    })
    fc.assert(property, { numRuns: 400 })
    expect(planted).toBeGreaterThan(100)
  })

  it('sees each single request that was refused and should not have been', () => {
    const property = fc.property(rules, asks, fc.nat(), (rule, steps, nth) => {
      const decisions = decide(rule, steps)
      const admitted = decisions.filter(({ outcome }) => outcome === 'admitted')
      const one = admitted[nth % admitted.length]
      if (one === undefined) return
      const { under } = judge(
        decisions.map((decision) => (decision === one ? logged({ ...one, outcome: 'refused' }) : decision)),
        rule,
      )
      // One of cost 3 may have stood in the way of several.
      expect(under).toBeGreaterThanOrEqual(1)
      expect(under).toBeLessThanOrEqual(one.cost)
    })
    fc.assert(property, { numRuns: 400 })
  })

  it('judges each key by itself, and all isolates together unless each counts alone', () => {
    const rule: Rule = { name: 'n', algorithm: 'fixed-window', limit: 2, windowMs: 1_000, consistency: 'strict' }
    const both = [0, 1, 2, 3].map((i) => logged({ isolate: i % 2 ? 'one' : 'other' }))
    expect(judge(both, rule).over).toBe(2)
    expect(judge(both, { ...rule, consistency: 'local' }).over).toBe(0)
    expect(judge([...both, logged({})], { ...rule, consistency: 'local' }).over).toBe(1)
    expect(
      judge(
        both.map((decision, i) => ({ ...decision, key: `${i % 2}` })),
        rule,
      ).over,
    ).toBe(0)
  })

  it('counts what was charged afterwards, and what was admitted blind in each isolate for itself', () => {
    const rule: Rule = { name: 'n', algorithm: 'sliding-window', limit: 2, windowMs: 1_000, consistency: 'strict' }
    const charged = [logged({}), logged({ at: START + 999, outcome: 'charged', cost: 2 })]
    expect(judge(charged, rule).over).toBe(1)
    expect(judge([logged({}), logged({ at: START + 1_000, outcome: 'charged', cost: 2 })], rule).over).toBe(0)
    const blind = ['one', 'one', 'other', 'other'].map((isolate) => logged({ isolate, blind: true }))
    const decisions = [logged({}), logged({}), ...blind]
    expect(judge(decisions, rule, { onStoreError: 'local' })).toMatchObject({ over: 0, blind: 4, wrong: 0 })
    expect(judge(decisions, rule, { onStoreError: 'deny' })).toMatchObject({ wrong: 4 })
    expect(judge([...decisions, blind[0]!], rule, { onStoreError: 'local' }).over).toBe(1)
    expect(judge([...decisions, blind[0]!], rule, { onStoreError: 'allow' })).toMatchObject({ over: 0, wrong: 0 })
  })

  it('adds to the bound what a lost memory does, and what a lease is spent later; no lease is spent after its end', () => {
    const rule: Rule = {
      name: 'n',
      algorithm: 'token-bucket',
      limit: 2,
      windowMs: 1_000,
      burst: 3,
      consistency: 'leased',
    }
    const taken = (number: number) => Array.from({ length: number }, () => logged({ leaseUntil: START + 1 }))
    expect([judge(taken(5), rule).over, judge(taken(6), rule).over]).toEqual([0, 1])
    expect(judge(taken(9), rule, { losses: 1 }).over).toBe(1)
    expect(judge(taken(4), { ...rule, consistency: 'strict' }).over).toBe(1)
    expect(judge(taken(4), rule)).toMatchObject({ leased: 4, wrong: 0 })
    expect(judge([logged({ leaseUntil: START })], rule).wrong).toBe(1)
  })

  it('finds at the origin what nobody admitted, what came twice, and what was decided twice', () => {
    const decisions = [
      logged({ id: 'a' }),
      logged({ id: 'b' }),
      logged({ id: 'b', limiter: 'm', outcome: 'refused' }),
      logged({ id: 'c' }),
      logged({ id: 'c', limiter: 'm', outcome: 'refused', shadow: true }),
      logged({ id: 'c', outcome: 'charged' }),
    ]
    expect(join(decisions, ['a', 'c'])).toEqual({ unadmitted: [], twice: [], decidedTwice: [] })
    expect(join(decisions, ['a', 'b', 'x', undefined]).unadmitted).toEqual(['b', 'x', ''])
    expect(join([...decisions, logged({ id: 'a' })], ['c', 'a', 'c'])).toMatchObject({
      twice: ['c'],
      decidedTwice: ['a'],
    })
  })
})
