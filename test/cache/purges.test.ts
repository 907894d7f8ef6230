import fc from 'fast-check'
import { expect, it } from 'vitest'
import { makePurged, PURGE_KINDS, PURGE_MODES, purgeOf, rowOf, type Purge } from '../../src/cache/purge/purges.ts'

const URL = 'https://gw.test/users/7?page=2'
const head = (requestTime: number) => ({ requestTime, url: URL, tags: ['users', 'user:7'] })
const knowing = (...purges: Purge[]) => {
  const purged = makePurged()
  purges.forEach(purged.add)
  return purged
}
const hard = { mode: 'hard', at: 100 } as const

it.each<[hits: boolean, kind: Purge['kind'], value: string]>([
  [true, 'tag', 'users'],
  [false, 'tag', 'Users'],
  [false, 'tag', 'user'],
  [true, 'url', URL],
  [true, 'url', 'https://gw.test/users/7'],
  [false, 'url', 'https://gw.test/users/7?page=1'],
  [false, 'url', 'https://gw.test/users'],
  [false, 'url', 'http://gw.test/users/7'],
  [true, 'prefix', 'https://gw.test/users/'],
  [true, 'prefix', URL],
  [false, 'prefix', 'https://gw.test/orders/'],
  [true, 'all', ''],
])('%s: an entry is purged by %s "%s"', (hits, kind, value) => {
  expect(knowing({ kind, value, ...hard }).standing(head(99))).toBe(hits ? 'gone' : 'live')
})

it('purges what was asked of the origin up to its moment, and nothing later', () => {
  const purged = knowing({ kind: 'tag', value: 'users', ...hard })
  expect([99, 100, 101].map((time) => purged.standing(head(time)))).toEqual(['gone', 'gone', 'live'])
})

it('lets the strictest count of those that reach an entry', () => {
  const tag = { kind: 'tag', value: 'users' } as const
  const purged = knowing(
    { ...tag, mode: 'hard', at: 10 },
    { ...tag, mode: 'validate', at: 20 },
    { ...tag, mode: 'soft', at: 30 },
    { kind: 'tag', value: 'other', mode: 'hard', at: 90 },
  )
  expect([10, 11, 20, 21, 30, 31].map((time) => purged.standing(head(time)))).toEqual([
    'gone',
    'validate',
    'validate',
    30,
    30,
    'live',
  ])
})

it('counts what several soft purges have reached as stale since the first that did', () => {
  const purged = knowing(
    { kind: 'tag', value: 'users', mode: 'soft', at: 30 },
    { kind: 'all', value: '', mode: 'soft', at: 20 },
  )
  expect([20, 21, 31].map((time) => purged.standing(head(time)))).toEqual([20, 30, 'live'])
})

it('keeps to its bounds, and what it forgets purges everything before it', () => {
  const purged = makePurged({ tag: 2, url: 2, prefix: 2 })
  purged.add({ kind: 'tag', value: 'a', mode: 'soft', at: 10 })
  purged.add({ kind: 'tag', value: 'b', mode: 'hard', at: 20 })
  purged.add({ kind: 'tag', value: 'c', mode: 'hard', at: 30 })
  expect([10, 11].map((time) => purged.standing(head(time)))).toEqual([10, 'live'])
  // Made once more: the oldest is another one now.
  purged.add({ kind: 'tag', value: 'b', mode: 'soft', at: 40 })
  purged.add({ kind: 'tag', value: 'd', mode: 'hard', at: 50 })
  expect([30, 31].map((time) => purged.standing(head(time)))).toEqual(['validate', 'live'])
  expect(purged.size()).toBe(2)
})

const order = fc.record({
  kind: fc.constantFrom(...PURGE_KINDS),
  value: fc.constantFrom('a', 'b', 'c', 'd b', 'https://gw.test/users', ''),
  mode: fc.constantFrom(...PURGE_MODES),
})

it('never lets an entry live that an unbounded list of purges would not', () => {
  const entry = fc.record({
    requestTime: fc.nat(40),
    url: fc.constantFrom('a', 'https://gw.test/users/7', 'https://gw.test/users?b'),
    tags: fc.subarray(['a', 'b', 'c', '']),
  })
  const isHit = (
    { kind, value, at }: Purge,
    { requestTime, url, tags }: typeof entry extends fc.Arbitrary<infer E> ? E : never,
  ) =>
    at >= requestTime &&
    (kind === 'all' ||
      (kind === 'tag' && tags.includes(value)) ||
      (kind === 'url' && (url === value || url.split('?')[0] === value)) ||
      (kind === 'prefix' && url.startsWith(value)))
  fc.assert(
    fc.property(fc.array(order, { maxLength: 30 }), entry, fc.boolean(), (orders, found, isBounded) => {
      const purges = orders.map((one, i): Purge => ({ ...one, at: i + 1 }))
      const purged = isBounded ? makePurged({ tag: 2, url: 1, prefix: 1 }) : makePurged()
      purges.forEach(purged.add)
      const modes = purges.filter((purge) => isHit(purge, found)).map(({ mode }) => PURGE_MODES.indexOf(mode))
      const exact = ['live', 'stale', 'validate', 'gone'][Math.max(-1, ...modes) + 1]
      const said = purged.standing(found)
      const standing = typeof said === 'number' ? 'stale' : said
      if (!isBounded) return standing === exact
      // A hard purge that was forgotten is validated instead.
      return exact === 'live' || (exact === 'stale' ? standing !== 'live' : ['validate', 'gone'].includes(standing))
    }),
    { numRuns: 2_000 },
  )
})

it('reads the rows it writes, and those of a later release as more than they can mean', () => {
  fc.assert(
    fc.property(order, fc.string(), (one, value) => {
      expect(purgeOf(rowOf({ ...one, value }), 7)).toEqual({ ...one, value, at: 7 })
    }),
  )
  for (const row of ['', 'mild tag a', 'hard vary x', 'nonsense'])
    expect(purgeOf(row, 7)).toEqual({ kind: 'all', value: '', mode: 'hard', at: 7 })
})
