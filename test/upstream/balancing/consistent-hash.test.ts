import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { consistentHash } from '../../../src/upstream/balancing/consistent-hash.ts'
import { roundRobin } from '../../../src/upstream/balancing/two-choices.ts'
import type { Target } from '../../../src/upstream/target.ts'
import { makeTestExchange } from '../../support/exchange.ts'
import { countNames, makeTestTargets, nameOf, worstError } from '../../support/targets.ts'

const byHeader = consistentHash('header:x-key', roundRobin)
const withKey = (key: string) =>
  makeTestExchange(new Request('https://gw.test/', { headers: key === '' ? {} : { 'x-key': key } }))
const keys = Array.from({ length: 4_000 }, (_, i) => withKey(`user-${i}`))
const place = (targets: readonly Target[]) => keys.map((x) => nameOf(byHeader.choose(targets, x, 0)))

describe('consistentHash', () => {
  it('sends one key to one target, in every isolate', () => {
    expect(place(makeTestTargets(1, 1, 1))).toEqual(place(makeTestTargets(1, 1, 1)))
  })

  it('still knows where each key is after a release', () => {
    const targets = makeTestTargets(2, 1, 1)
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].map((key) =>
      nameOf(byHeader.choose(targets, withKey(key), 0)),
    )
    expect(names.join(' ')).toBe('t0 t0 t0 t0 t1 t2 t1 t0')
  })

  it.each([[[1, 1]], [[3, 1]], [[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]], [[7, 2, 1]]])(
    'gives targets with the weights %o their share of the keys',
    (weights) => {
      const targets = makeTestTargets(...weights)
      expect(worstError(place(targets), targets)).toBeLessThanOrEqual(3)
    },
  )

  it('losing any target moves its own keys and no others, at most 1/n + 20 % of all with equal weights', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 10 }), fc.nat(9), fc.boolean(), (count, nth, alike) => {
        const all = makeTestTargets(...Array.from({ length: count }, (_, i) => (alike ? 1 : 1 + (i % 3))))
        const lost = all[nth % count]!
        const before = place(all)
        const moved = place(all.filter((target) => target !== lost)).filter((name, i) => name !== before[i])
        expect(moved.length).toBe(before.filter((name) => name === nameOf(lost)).length)
        if (alike) expect(moved.length / keys.length).toBeLessThanOrEqual(1.2 / count)
      }),
      { numRuns: 40 },
    )
  })

  it('spreads the keys of a lost target over all that are left', () => {
    const all = makeTestTargets(1, 1, 1, 1)
    const before = place(all)
    const now = place(all.slice(1)).filter((_, i) => before[i] === 't0')
    for (const count of Object.values(countNames(now))) expect(Math.abs(count / now.length - 1 / 3)).toBeLessThan(0.05)
  })

  it('takes turns for requests without the key', () => {
    const targets = makeTestTargets(1, 1)
    const names = [1, 2, 3, 4].map(() => nameOf(byHeader.choose(targets, withKey(''), 0)))
    expect(countNames(names)).toEqual({ t0: 2, t1: 2 })
  })

  it('knows callers by issuer and subject', () => {
    const bySubject = consistentHash('jwt.sub', roundRobin)
    const targets = makeTestTargets(1, 1, 1, 1, 1, 1, 1, 1)
    const from = (issuer: string) => {
      const identity = { provider: 'p', issuer, subject: '7', scopes: [], roles: [], claims: {} }
      return nameOf(bySubject.choose(targets, makeTestExchange(undefined, { identity }), 0))
    }
    expect(from('a')).toBe(from('a'))
    expect(new Set(['a', 'b', 'c', 'd', 'e', 'f'].map(from)).size).toBeGreaterThan(1)
  })
})
