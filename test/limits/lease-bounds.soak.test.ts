import fc from 'fast-check'
import { expect, it } from 'vitest'
import { leaseMs, type LimiterSpec } from '../../src/limits/limiter.ts'
import { makeLeasedWorld, type Admission, type Call } from '../support/leased-world.ts'

const START = 1_000_000_000

const specs: fc.Arbitrary<LimiterSpec> = fc
  .record({
    algorithm: fc.constantFrom('fixed-window', 'sliding-window', 'token-bucket'),
    limit: fc.oneof(fc.integer({ min: 1, max: 400 }), fc.constant(2_000)),
    windowMs: fc.constantFrom(1_000, 2_000, 5_000),
    burst: fc.integer({ min: 1, max: 500 }),
  })
  .map(({ algorithm, burst, ...rest }) => ({
    name: 'n',
    algorithm,
    ...rest,
    burst: algorithm === 'token-bucket' ? burst : undefined,
  }))

const calls: fc.Arbitrary<Call> = fc.record({
  thereMs: fc.oneof({ weight: 8, arbitrary: fc.nat(5) }, fc.nat(90)),
  backMs: fc.oneof({ weight: 8, arbitrary: fc.nat(5) }, fc.nat(90)),
  lost: fc.oneof({ weight: 12, arbitrary: fc.constant(false) }, fc.constant(true)),
})

/** A stretch in which one isolate gets `requests` of `cost`, `gapMs` apart, before which its clock is set by `stepMs`. */
const traffic = fc.array(
  fc.record({
    isolate: fc.nat(3),
    startMs: fc.nat(4_000),
    requests: fc.integer({ min: 1, max: 600 }),
    gapMs: fc.constantFrom(0, 0.3, 1, 2, 4, 7, 15),
    cost: fc.constantFrom(1, 1, 1, 3),
    // So far back that the next request cannot miss it; how far forward does not matter.
    stepMs: fc.constantFrom(0, 0, 0, -20_000, 3, 400, 60_000),
  }),
  { minLength: 1, maxLength: 12 },
)

/** The most that was admitted above the bound, by whatever time `timeOf` says. */
function excess(admissions: readonly Admission[], spec: LimiterSpec, timeOf: (admission: Admission) => number): number {
  const { limit, windowMs, burst } = spec
  const all = admissions.map((admission) => ({ at: timeOf(admission), cost: admission.cost }))
  all.sort((a, b) => a.at - b.at)
  let most = -Infinity
  for (const [i, first] of all.entries()) {
    let sum = 0
    for (let j = i; j < all.length; j++) {
      const { at, cost } = all[j]!
      const passed = at - first.at
      if (spec.algorithm === 'fixed-window' && Math.floor(at / windowMs) !== Math.floor(first.at / windowMs)) break
      if (spec.algorithm === 'sliding-window' && passed >= windowMs) break
      sum += cost
      // The millisecond is that of a bucket which fills within one.
      const bound = burst === undefined ? limit : burst + (limit / windowMs) * (passed + 1 + leaseMs(spec))
      most = Math.max(most, sum - bound)
    }
  }
  return most
}

it('never admits more than the bound: several isolates, skewed and stepping clocks, lost and slow answers', async () => {
  let spent = 0
  let free = 0
  const property = fc.asyncProperty(
    specs,
    fc.array(fc.record({ skewMs: fc.double({ min: -5_000, max: 5_000, noNaN: true }) }), {
      minLength: 4,
      maxLength: 4,
    }),
    traffic,
    fc.infiniteStream(calls),
    async (spec, isolates, stretches, stream) => {
      const world = makeLeasedWorld(spec, isolates, () => stream.next().value)
      for (const { isolate, startMs, requests, gapMs, cost, stepMs } of stretches) {
        world.at(START + startMs, () => void (world.clocks[isolate]!.skewMs += stepMs))
        for (let i = 0; i < requests; i++) world.at(START + startMs + i * gapMs, () => world.request(isolate, cost))
      }
      await world.run()
      expect(world.seen.overspent).toBe(0)
      expect(excess(world.admissions, spec, ({ at }) => at)).toBeLessThanOrEqual(1e-6)
      expect(excess(world.admissions, spec, ({ decidedAt }) => decidedAt)).toBeLessThanOrEqual(1e-6)
      spent += world.admissions.length
      free += world.seen.offered - world.seen.awaited
    },
  )
  await fc.assert(property, { numRuns: 150 })
  expect(spent).toBeGreaterThan(10_000)
  expect(free).toBeGreaterThan(spent / 4)
}, 60_000)

const near: Call = { thereMs: 0.5, backMs: 0.5 }

/** Requests at random moments, `perSecond` in all, for `seconds`; where they arrive changes every 300 ms. */
async function load(spec: LimiterSpec, perSecond: number, seconds: number, call = near, isolates = 4) {
  let seed = 7
  const random = () => (seed = (seed * 48_271) % 2_147_483_647) / 2_147_483_647
  const world = makeLeasedWorld(
    spec,
    Array.from({ length: isolates }, () => ({ skewMs: 5_000 * random() })),
    () => call,
  )
  for (let ms = 0; ms < 1_000 * seconds; ms -= (Math.log(random()) * 1_000) / perSecond) {
    const favoured = Math.floor(ms / 300) % isolates
    const isolate = random() < 0.5 ? favoured : Math.floor(random() * isolates)
    world.at(START + ms, () => world.request(isolate))
  }
  await world.run()
  return world
}

it.each([
  ['fixed-window', 10_000, 10_000],
  ['fixed-window', 1_000, 1_000],
  ['fixed-window', 400, 1_000],
  ['sliding-window', 1_000, 1_000],
  ['sliding-window', 4_000, 10_000],
  ['token-bucket', 1_000, 1_000],
] as const)(
  'fills at least 95 percent of a limit for which there is twice the demand: %s, %i in %i ms',
  async (algorithm, limit, windowMs) => {
    const spec = { name: 'n', algorithm, limit, windowMs, burst: algorithm === 'token-bucket' ? limit : undefined }
    const windows = windowMs === 10_000 ? 2 : 6
    const { admissions } = await load(spec, (2_000 * limit) / windowMs, (windows * windowMs) / 1_000)
    const full = windows * limit + (spec.burst ?? 0)
    expect(admissions.length).toBeGreaterThanOrEqual(0.95 * full)
  },
)

it.each([
  ['fixed-window', 1_000, 1_000, near, 2],
  ['fixed-window', 60_000, 60_000, { thereMs: 10, backMs: 10 }, 4],
  ['sliding-window', 30_000, 30_000, near, 4],
  ['sliding-window', 2_000, 1_000, near, 2],
  ['token-bucket', 1_000, 1_000, { thereMs: 10, backMs: 10 }, 4],
] as const)(
  'makes at most 5 percent of requests wait at steady load: %s, %i in %i ms',
  async (algorithm, limit, windowMs, call, isolates) => {
    const spec = { name: 'n', algorithm, limit, windowMs, burst: algorithm === 'token-bucket' ? limit : undefined }
    const { seen } = await load(spec, (800 * limit) / windowMs, 12, call, isolates)
    expect(seen.awaited / seen.offered).toBeLessThanOrEqual(0.05)
    expect(seen.refused).toBe(0)
  },
)

it('loses at most two fifths to a client that comes in bursts of 40', async () => {
  const spec: LimiterSpec = { name: 'n', algorithm: 'fixed-window', limit: 600, windowMs: 60_000 }
  const world = makeLeasedWorld(spec, [{ skewMs: 0 }], () => near)
  for (let i = 0; i < 480; i++) world.at(START + Math.floor(i / 40) * 5_000 + (i % 40) * 10, () => world.request(0))
  await world.run()
  expect(world.seen.refused).toBe(0)
  expect(world.granted()).toBeLessThan(1.4 * 480)
})
