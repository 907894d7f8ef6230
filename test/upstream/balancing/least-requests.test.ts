import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { leastRequests } from '../../../src/upstream/balancing/two-choices.ts'
import type { Target } from '../../../src/upstream/target.ts'
import { makeTestExchange } from '../../support/exchange.ts'
import { runModel, type Served } from '../../support/queue-model.ts'
import { makeTestTargets, nameOf, seededRandom, worstError } from '../../support/targets.ts'

const isFirst = (target: Target) => nameOf(target) === 't0'

describe('leastRequests', () => {
  it('takes the less loaded of two, for their weights', () => {
    const targets = makeTestTargets(3, 1)
    const choose = (...inFlight: number[]) => {
      inFlight.forEach((count, i) => (targets[i]!.inFlight = count))
      const { choose: pick } = leastRequests({ random: () => 0 })
      return [1, 2, 3, 4].map(() => nameOf(pick(targets, makeTestExchange(), 0))).join(' ')
    }
    expect(choose(3, 0)).toBe('t1 t1 t1 t1')
    expect(choose(2, 1)).toBe('t0 t0 t0 t0')
    for (const even of [choose(0, 0), choose(2, 0), choose(3, 1), choose(5, 1)])
      expect(even.split(' ').toSorted().join(' ')).toBe('t0 t0 t0 t1')
  })

  it('never takes the most loaded of three or more, unless another is as loaded', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { minLength: 2, maxLength: 8 }), fc.integer(), (inFlight, seed) => {
        const targets = makeTestTargets(...inFlight.map(() => 1))
        inFlight.forEach((count, i) => (targets[i]!.inFlight = count))
        const most = Math.max(...inFlight)
        const picked = leastRequests({ random: seededRandom(seed) }).choose(targets, makeTestExchange(), 0)
        if (inFlight.filter((count) => count === most).length === 1) expect(picked.inFlight).toBeLessThan(most)
      }),
    )
  })

  const run = (weights: readonly number[], perSecond: number, msOf: (target: Target) => number): Promise<Served[]> =>
    runModel(
      leastRequests({ random: seededRandom() }),
      makeTestTargets(...weights),
      { now: 1_000_000 },
      { perSecond, seconds: 30, msOf },
    )

  it.each(
    [
      [1, 1, 1],
      [3, 1],
      [7, 2, 1],
    ].flatMap((weights) => [1, 3, 10].map((n) => [weights, n] as const)),
  )('keeps to the weights %o with %i in flight', async (weights, inFlight) => {
    const random = seededRandom(5)
    const served = await run(weights, inFlight * 10, () => Math.floor(random() * 200))
    expect(
      worstError(
        served.slice(0, 500).map(({ target }) => nameOf(target)),
        makeTestTargets(...weights),
      ),
    ).toBeLessThanOrEqual(5)
  })

  it('one of three slow by 1 s at 500/s gets fewer than one request in a hundred', async () => {
    const random = seededRandom(7)
    const served = await run([1, 1, 1], 500, (target) => 2 + Math.floor(random() * 3) + (isFirst(target) ? 1_000 : 0))
    const slow = served.filter(({ target }) => isFirst(target)).length
    expect(slow / served.length).toBeLessThan(0.01)
  })
})
