import { describe, expect, it } from 'vitest'
import { pickTarget } from '../../src/upstream/balance.ts'
import { makeTargets, type Target } from '../../src/upstream/target.ts'

const targets = (...weights: number[]): Target[] =>
  makeTargets(
    'u',
    weights.map((weight, i) => ({ url: `http://t${i}.test/base/`, weight })),
    () => undefined,
  )

describe('pickTarget', () => {
  it.each([[[3, 1]], [[1, 1, 1]], [[7, 2, 1]], [[100, 1]]])(
    'keeps to the weights %o within 5 %% over 500',
    (weights) => {
      const all = targets(...weights)
      const picked = Array.from({ length: 500 }, () => pickTarget(all, 0).label)
      const sum = weights.reduce((a, b) => a + b)
      for (const target of all) {
        const share = picked.filter((label) => label === target.label).length
        expect(Math.abs(share - (500 * target.weight) / sum)).toBeLessThanOrEqual(25)
      }
    },
  )

  it('spreads the picks instead of sending them in runs', () => {
    const all = targets(3, 1)
    expect(Array.from({ length: 8 }, () => pickTarget(all, 0).label[1]).join('')).toBe('00100010')
  })

  it('passes over a target that rests, unless all do', () => {
    const all = targets(1, 1)
    all[0]!.failedAt = 0
    expect([1, 2, 3].map(() => pickTarget(all, 999).label)).toEqual(['t1.test:80', 't1.test:80', 't1.test:80'])
    expect([1, 2].map(() => pickTarget(all, 1_000).label)).toContain('t0.test:80')
    all[1]!.failedAt = 0
    expect([1, 2].map(() => pickTarget(all, 500).label).toSorted()).toEqual(['t0.test:80', 't1.test:80'])
  })

  it('does not let one rest for longer because the clock was set back', () => {
    const all = targets(1, 1)
    all[0]!.failedAt = 3_600_000
    expect([1, 2].map(() => pickTarget(all, 0).label)).toContain('t0.test:80')
  })

  it('takes a resting target before one that failed this request', () => {
    const all = targets(1, 1)
    all[0]!.failedAt = 0
    expect(pickTarget(all, 0, ['t1.test:80']).label).toBe('t0.test:80')
  })

  it('comes back to a failed target when there is no other', () => {
    expect(pickTarget(targets(1), 0, ['t0.test:80']).label).toBe('t0.test:80')
  })
})

describe('makeTargets', () => {
  it('reads base path, address and port', () => {
    const [target] = makeTargets('u', [{ url: 'https://API.example.com/v1/', weight: 1 }], () => undefined)
    expect(target).toMatchObject({
      base: 'https://api.example.com/v1',
      label: 'api.example.com:443',
      address: 'api.example.com',
      port: 443,
    })
  })

  it('tells targets on one host apart by their paths', () => {
    const urls = ['http://h:1/a', 'http://h:1/b'].map((url) => ({ url, weight: 1 }))
    expect(makeTargets('u', urls, () => undefined).map((target) => target.label)).toEqual(['h:1/a', 'h:1/b'])
  })

  it('takes a URL from a variable, and says which one is missing', () => {
    const config = [{ url: { $env: 'USERS_URL' }, weight: 1 }]
    expect(makeTargets('users', config, () => 'http://h:1')[0]!.base).toBe('http://h:1')
    expect(() => makeTargets('users', config, () => undefined)).toThrow(
      'upstreams.users.targets[0].url: the variable USERS_URL',
    )
  })
})
