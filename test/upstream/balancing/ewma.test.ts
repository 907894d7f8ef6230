import { describe, expect, it } from 'vitest'
import { costPerTry, ewma, recordLatency } from '../../../src/upstream/balancing/ewma.ts'
import { makeLatencyEwma, type LatencyEwma, type Target } from '../../../src/upstream/target.ts'
import { markUploadEnd } from '../../../src/upstream/upload.ts'
import { makeTestExchange } from '../../support/exchange.ts'
import { runModel, type Served } from '../../support/queue-model.ts'
import { countNames, makeTestTargets, nameOf, seededRandom, worstError } from '../../support/targets.ts'

const T = 1_000_000
const cost = (latencyEwma: LatencyEwma, now = T, inFlight = 0) => costPerTry({ latencyEwma, inFlight }, now)
const paceOf = (ms: number) => {
  const latencyEwma = makeLatencyEwma()
  recordLatency(latencyEwma, 'good', ms, T)
  return latencyEwma
}
const setUp = (...weights: number[]) => {
  const targets = makeTestTargets(...weights)
  const clock = { now: T }
  return { targets, clock, strategy: ewma(targets, { now: () => clock.now, random: seededRandom() }) }
}
const isFirst = (target: Target) => nameOf(target) === 't0'
const counts = (served: readonly Served[]) => countNames(served.map(({ target }) => nameOf(target)))
const p99 = (served: readonly Served[]) =>
  served.map(({ ms }) => ms).toSorted((a, b) => a - b)[Math.ceil(served.length * 0.99) - 1]!

describe('what is known of a target, move by move', () => {
  it('costs nothing while nothing is known, and more than anything while the first answer is awaited', () => {
    expect(cost(makeLatencyEwma())).toBe(0)
    expect(cost(makeLatencyEwma(), T, 1)).toBeGreaterThan(cost(paceOf(60_000)))
  })

  it('jumps up at once, and comes down slowly', () => {
    const latencyEwma = paceOf(10)
    expect(cost(latencyEwma)).toBe(11)
    recordLatency(latencyEwma, 'good', 1_000, T)
    expect(cost(latencyEwma)).toBe(1_001)
    recordLatency(latencyEwma, 'good', 10, T + 100)
    expect(cost(latencyEwma, T + 100)).toBeCloseTo(991, 0)
  })

  it('fades with time, and is forgotten after 20 s', () => {
    const latencyEwma = paceOf(1_000)
    expect(cost(latencyEwma, T + 10_000)).toBeCloseTo(1 + 1_000 / Math.E, 5)
    expect(cost(latencyEwma, T + 20_000)).toBeGreaterThan(100)
    expect(cost(latencyEwma, T + 20_001)).toBe(0)
    recordLatency(latencyEwma, 'good', 5, T + 20_001)
    expect(cost(latencyEwma, T + 20_001)).toBe(6)
  })

  it('counts how long those that wait have waited', () => {
    const latencyEwma = paceOf(10)
    Object.assign(latencyEwma, { waiting: 2, sentAt: T + T })
    expect([cost(latencyEwma, T, 2), cost(latencyEwma, T + 500, 2)]).toEqual([11, 501])
  })

  it('doubles with each failure in a row but the first, and forgives all of them for one good answer', () => {
    const latencyEwma = paceOf(10)
    const costs = [1, 2, 3, 4].map(() => {
      recordLatency(latencyEwma, 'failed', 0, T)
      return cost(latencyEwma)
    })
    expect(costs).toEqual([11, 22, 44, 88])
    recordLatency(latencyEwma, 'good', 10, T)
    expect(cost(latencyEwma)).toBe(11)
  })

  it('takes a target for slow that fails before it ever answered, and one that times out', () => {
    const latencyEwma = makeLatencyEwma()
    recordLatency(latencyEwma, 'failed', 1, T)
    expect(cost(latencyEwma)).toBe(1_001)
    recordLatency(latencyEwma, 'failed', 5_000, T)
    expect(cost(latencyEwma)).toBe(2 * 5_001)
  })

  it('knows of a try that was broken off that it would have taken longer', () => {
    const latencyEwma = paceOf(10)
    recordLatency(latencyEwma, 'void', 2, T)
    expect(cost(latencyEwma)).toBe(11)
    recordLatency(latencyEwma, 'void', 300, T)
    expect(cost(latencyEwma)).toBe(301)
  })

  it('does not fall for a clock that was set back', () => {
    const latencyEwma = paceOf(10)
    Object.assign(latencyEwma, { waiting: 1, sentAt: T })
    expect(cost(latencyEwma, T - 5_000, 1)).toBeCloseTo(1 + 10 * Math.exp(-0.5), 5)
  })
})

describe('under load', () => {
  it.each(
    [
      [1, 1, 1],
      [3, 1],
      [7, 2, 1],
    ].flatMap((weights) => [1, 3, 10].map((n) => [weights, n] as const)),
  )('keeps to the weights %o while all are equally quick, with %i in flight', async (weights, inFlight) => {
    const { targets, clock, strategy } = setUp(...weights)
    const load = { perSecond: 50 * inFlight, seconds: 10 / inFlight, msOf: () => 20 }
    const served = await runModel(strategy, targets, clock, load)
    const names = served.map(({ target }) => nameOf(target))
    expect(worstError(names, targets)).toBeLessThanOrEqual(5)
  })

  it('one of three slow by 1 s at 500/s: callers hardly notice', async () => {
    const run = async (extra: number) => {
      const { targets, clock, strategy } = setUp(1, 1, 1)
      const random = seededRandom(7)
      const msOf = (target: Target) => 2 + Math.floor(random() * 3) + (isFirst(target) ? extra : 0)
      return runModel(strategy, targets, clock, { perSecond: 500, seconds: 60, msOf })
    }
    const served = await run(1_000)
    expect(p99(served)).toBeLessThanOrEqual(2 * p99(await run(0)))
    // It is noticed before its first response, and tried again from time to time.
    const slow = served.filter(({ target }) => isFirst(target))
    expect(slow.filter(({ at }) => at < 1_000).length).toBeLessThanOrEqual(5)
    expect(slow.length).toBeGreaterThanOrEqual(3)
    expect(slow.length).toBeLessThanOrEqual(12)
  })

  it('one that becomes slow is left within a moment, and gets its share again within 25 s of being well', async () => {
    const { targets, clock, strategy } = setUp(1, 1, 1)
    const msOf = (target: Target, now: number) => (isFirst(target) && now >= T + 5_000 && now < T + 15_000 ? 1_000 : 4)
    const served = await runModel(strategy, targets, clock, { perSecond: 300, seconds: 50, msOf })
    const firsts = (from: number, to: number) =>
      served.filter(({ target, at }) => isFirst(target) && at >= from && at < to)
    expect(firsts(0, 5_000).length).toBeGreaterThan(400)
    expect(firsts(5_000, 15_000).length).toBeLessThanOrEqual(10)
    expect(firsts(40_000, 50_000).length).toBeGreaterThan(800)
  })

  it('one that fails in no time does not look quick', async () => {
    const { targets, clock, strategy } = setUp(1, 1, 1)
    const load = { perSecond: 300, seconds: 20, msOf: (target: Target) => (isFirst(target) ? 0 : 30) }
    const always = await runModel(strategy, targets, clock, {
      ...load,
      statusOf: (target) => (isFirst(target) ? 500 : 200),
    })
    expect(counts(always).t0!).toBeLessThanOrEqual(20)
    const again = setUp(1, 1, 1)
    const later = await runModel(again.strategy, again.targets, again.clock, {
      ...load,
      msOf: (target, now) => (isFirst(target) && now > T + 5_000 ? 0 : 30),
      statusOf: (target, now) => (isFirst(target) && now > T + 5_000 ? 500 : 200),
    })
    expect(later.filter(({ target, at }) => isFirst(target) && at > 5_000).length).toBeLessThanOrEqual(20)
  })

  it('failures that are spread evenly do not drive the load about', async () => {
    const { targets, clock, strategy } = setUp(1, 1, 1)
    const random = seededRandom(3)
    const statusOf = () => (random() < 0.02 ? 500 : 200)
    const served = await runModel(strategy, targets, clock, { perSecond: 300, seconds: 10, msOf: () => 5, statusOf })
    expect(
      worstError(
        served.map(({ target }) => nameOf(target)),
        targets,
      ),
    ).toBeLessThanOrEqual(5)
  })

  it('one that comes back is asked one thing at a time until it has answered', async () => {
    const { targets, clock, strategy } = setUp(1, 1, 1)
    const msOf = (target: Target) => (isFirst(target) ? 400 : 5)
    const others = targets.slice(1)
    await runModel({ ...strategy, choose: (_, x, now) => strategy.choose(others, x, now) }, targets, clock, {
      perSecond: 200,
      seconds: 30,
      msOf,
    })
    const served = await runModel(strategy, targets, clock, { perSecond: 200, seconds: 1, msOf })
    expect(served.filter(({ target, at }) => isFirst(target) && at < 400).length).toBe(1)
  })
})

it('leaves nothing behind, however tries end', async () => {
  const [target] = makeTestTargets(1, 1)
  const x = makeTestExchange()
  const { middlewareFor: around } = ewma([target!], { now: () => T, random: Math.random })
  const send = (answer: Promise<Response>) => around!(target!)(() => answer)(x)
  await send(Promise.resolve(new Response()))
  await expect(send(Promise.reject(new TypeError('bad header')))).rejects.toThrow('bad header')
  expect(target!.latencyEwma).toMatchObject({ waiting: 0, sentAt: 0 })
})

it('does not hold the client’s own slowness against a target', async () => {
  const [target] = makeTestTargets(1)
  let now = T
  const { promise, resolve } = Promise.withResolvers<Response>()
  const x = makeTestExchange(new Request('https://gw.test/', { method: 'POST', body: new ReadableStream() }))
  const pending = ewma([target!], { now: () => now, random: Math.random }).middlewareFor!(target!)(() => promise)(x)
  expect(target!.latencyEwma.waiting).toBe(0)
  markUploadEnd(x, T + 8_000)
  now += 8_030
  resolve(new Response())
  await pending
  expect(target!.latencyEwma).toMatchObject({ ms: 30, waiting: 0, sentAt: 0 })
})
