import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  CLOSED_BREAKER,
  countCalls,
  extendLease,
  grantLease,
  PROBE_LEASE_MS,
  reachesThreshold,
  settleLease,
  sumCounters,
  type BreakerSettings,
  type BreakerState,
} from '../../../src/upstream/circuit-breaker/breaker-state.ts'

const settings: BreakerSettings = {
  failureRate: 50,
  slowCallRate: 80,
  minimumRequests: 10,
  window: 10_000,
  openDuration: 1_000,
  maxOpenDuration: 3_000,
  halfOpenProbes: 1,
}
const T = 1_000_000
const calls = (n: number, failures: number, slow = 0) => ({ calls: n, failures, slow })
const OPEN: BreakerState = { state: 'open', since: T - 1_000, ms: 1_000, openings: 1 }
const HALF: BreakerState = {
  state: 'half-open',
  openings: 1,
  leases: [{ id: 'a', since: T, ms: PROBE_LEASE_MS }],
  passed: 0,
}

describe('a closed circuit', () => {
  it.each([
    ['fewer calls than the minimum', calls(9, 9), 'closed'],
    ['a rate just below', calls(100, 49), 'closed'],
    ['the rate itself', calls(10, 5), 'open'],
    ['slow calls just below', calls(10, 0, 7), 'closed'],
    ['slow calls at their rate', calls(10, 0, 8), 'open'],
  ])('%s: %o is %s', (_, counters, state) => {
    expect(countCalls(CLOSED_BREAKER, counters, settings, T).state).toBe(state)
  })

  it('opens for openDuration', () => {
    expect(countCalls(CLOSED_BREAKER, calls(10, 10), settings, T)).toEqual({
      state: 'open',
      since: T,
      ms: 1_000,
      openings: 1,
    })
  })

  it('adds up over the window, and forgets what is older', () => {
    const some = countCalls(CLOSED_BREAKER, calls(9, 9), settings, T)
    expect(countCalls(some, calls(1, 1), settings, T + 8_000).state).toBe('open')
    expect(countCalls(some, calls(1, 1), settings, T + 11_000).state).toBe('closed')
  })

  it('keeps counting when the clock is set back a little, and begins anew when it is far', () => {
    const some = countCalls(CLOSED_BREAKER, calls(9, 9), settings, T)
    expect(countCalls(some, calls(1, 1), settings, T - 6_000).state).toBe('open')
    expect(countCalls(some, calls(1, 1), settings, T - 60_000)).toMatchObject({ slots: [{ calls: 1 }] })
  })

  it('has no leases to give', () => {
    expect(grantLease(CLOSED_BREAKER, 'a', settings, T)).toBe(CLOSED_BREAKER)
  })
})

describe('an open circuit', () => {
  it('ignores late calls', () => {
    expect(countCalls(OPEN, calls(100, 100), settings, T)).toBe(OPEN)
  })

  it('gives no lease before its time', () => {
    expect(grantLease(OPEN, 'a', settings, T - 1)).toBe(OPEN)
  })

  it('does not wait for a clock that was set back to catch up', () => {
    expect(grantLease(OPEN, 'a', settings, T - 3_600_000).state).toBe('half-open')
  })

  it('half-opens with the first lease after it', () => {
    expect(grantLease(OPEN, 'a', settings, T)).toEqual(HALF)
  })
})

describe('a half-open circuit', () => {
  it('gives no second lease while one is out, and another when it has run out', () => {
    expect(grantLease(HALF, 'b', settings, T + PROBE_LEASE_MS - 1)).toEqual(HALF)
    expect(grantLease(HALF, 'b', settings, T + PROBE_LEASE_MS)).toMatchObject({ leases: [{ id: 'b' }] })
  })

  it('gives a lost lease to another although the clock was set back', () => {
    expect(grantLease(HALF, 'b', settings, T - 3_600_000)).toMatchObject({ leases: [{ id: 'b' }] })
  })

  it('keeps a spent lease for as long as its request may take', () => {
    const spent = extendLease(HALF, 'a', 5_000, T)
    expect(grantLease(spent, 'b', settings, T + 5_000)).toMatchObject({ leases: [{ id: 'a' }] })
  })

  it('closes when the probe passes, and forgets how often it opened', () => {
    expect(settleLease(HALF, 'a', 'passed', settings, T)).toEqual(CLOSED_BREAKER)
  })

  it('opens for twice as long each time the probe fails, up to maxOpenDuration', () => {
    let breaker: BreakerState = HALF
    const durations = [2_000, 3_000, 3_000].map((expected) => {
      breaker = settleLease(breaker, 'a', 'failed', settings, T)
      expect(breaker).toMatchObject({ state: 'open', since: T, ms: expected })
      breaker = grantLease(breaker, 'a', settings, T + expected)
      return breaker.state
    })
    expect(durations).toEqual(['half-open', 'half-open', 'half-open'])
  })

  it('takes a lease back that found nothing out, and gives it to another', () => {
    const free = settleLease(HALF, 'a', 'void', settings, T)
    expect(grantLease(free, 'b', settings, T)).toMatchObject({ leases: [{ id: 'b' }] })
  })

  it('ignores results of leases it does not know', () => {
    expect(settleLease(HALF, 'z', 'failed', settings, T)).toBe(HALF)
  })

  it('with three probes closes after three that passed', () => {
    const three = { ...settings, halfOpenProbes: 3 }
    let breaker: BreakerState = grantLease(OPEN, 'a', three, T)
    for (const id of ['b', 'c', 'd']) breaker = grantLease(breaker, id, three, T)
    expect(breaker).toMatchObject({ leases: [{ id: 'a' }, { id: 'b' }, { id: 'c' }] })
    for (const id of ['a', 'b']) breaker = settleLease(breaker, id, 'passed', three, T)
    expect(grantLease(breaker, 'e', three, T)).toMatchObject({ leases: [{ id: 'c' }], passed: 2 })
    expect(settleLease(breaker, 'c', 'passed', three, T)).toEqual(CLOSED_BREAKER)
  })
})

it('holds its promises whatever happens', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('count' as const), calls: fc.nat(30), bad: fc.nat(100), slow: fc.nat(100) }),
    fc.record({ kind: fc.constant('lease' as const) }),
    fc.record({ kind: fc.constant('extend' as const), nth: fc.nat(5), ms: fc.nat(5_000) }),
    fc.record({
      kind: fc.constant('settle' as const),
      nth: fc.nat(5),
      result: fc.constantFrom('passed' as const, 'failed' as const, 'void' as const),
    }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: -500, max: 6_000 }) }),
  )
  const shape = fc.record({
    failureRate: fc.integer({ min: 1, max: 100 }),
    slowCallRate: fc.integer({ min: 1, max: 100 }),
    minimumRequests: fc.integer({ min: 1, max: 50 }),
    window: fc.integer({ min: 1_000, max: 20_000 }),
    openDuration: fc.integer({ min: 1, max: 2_000 }),
    maxOpenDuration: fc.integer({ min: 2_000, max: 9_000 }),
    halfOpenProbes: fc.integer({ min: 1, max: 4 }),
  })
  fc.assert(
    fc.property(shape, fc.array(step, { maxLength: 80 }), (config, steps) => {
      let breaker: BreakerState = CLOSED_BREAKER
      let now = T
      let granted = 0
      for (const it of steps) {
        if (it.kind === 'wait') now += it.ms
        if (it.kind === 'count') {
          const share = (percent: number) => Math.round((it.calls * percent) / 100)
          const counters = { calls: it.calls, failures: share(it.bad), slow: share(it.slow) }
          breaker = countCalls(breaker, counters, config, now)
        }
        if (it.kind === 'lease') breaker = grantLease(breaker, String(granted++), config, now)
        if (it.kind === 'extend') breaker = extendLease(breaker, String(granted - it.nth), it.ms, now)
        if (it.kind === 'settle') breaker = settleLease(breaker, String(granted - it.nth), it.result, config, now)
        if (breaker.state === 'closed') expect(reachesThreshold(sumCounters(breaker.slots), config)).toBe(false)
        if (breaker.state === 'open') expect(breaker.openings).toBeGreaterThan(0)
        if (breaker.state === 'half-open') {
          expect(breaker.leases.length + breaker.passed).toBeLessThanOrEqual(config.halfOpenProbes)
          expect(new Set(breaker.leases.map((lease) => lease.id)).size).toBe(breaker.leases.length)
        }
      }
    }),
    { numRuns: 500 },
  )
})
