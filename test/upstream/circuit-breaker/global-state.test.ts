import { describe, expect, it } from 'vitest'
import type { Region } from '../../../src/core/region.ts'
import type { RegionReport } from '../../../src/upstream/circuit-breaker/api.ts'
import {
  PROBE_LEASE_MS,
  type BreakerSettings,
  type BreakerStatus,
} from '../../../src/upstream/circuit-breaker/breaker-state.ts'
import {
  applyOrder,
  applyRegionReport,
  globalUpdateOf,
  isOpenEverywhere,
  mustStoreGlobal,
  NEW_GLOBAL_STATE,
  type GlobalState,
} from '../../../src/upstream/circuit-breaker/global-state.ts'

const settings: BreakerSettings = {
  failureRate: 50,
  slowCallRate: 100,
  minimumRequests: 10,
  window: 10_000,
  openDuration: 1_000,
  maxOpenDuration: 8_000,
  halfOpenProbes: 1,
}
const T = 1_000_000
const CLOSED: BreakerStatus = { state: 'closed', forMs: 0, openings: 0 }
const OPEN: BreakerStatus = { state: 'open', forMs: 1_000, openings: 1 }
const HALF: BreakerStatus = { state: 'half-open', forMs: 0, openings: 1 }

const report = (region: Region, own: BreakerStatus, more: Partial<RegionReport> = {}): RegionReport => ({
  upstream: 'users',
  region,
  own,
  closing: 0,
  settings,
  ...more,
})

/** The state after these reports, at T. */
function stateOf(...regions: (readonly [Region, BreakerStatus])[]): GlobalState {
  return regions.reduce((state, [region, own]) => applyRegionReport(state, report(region, own), T)[0], NEW_GLOBAL_STATE)
}

/** Open in two of three regions, and so everywhere. */
const EVERYWHERE = stateOf(['weur', OPEN], ['enam', OPEN], ['apac', CLOSED])

describe('the quorum', () => {
  it.each<[what: string, regions: Parameters<typeof stateOf>, open: boolean]>([
    ['nobody', [], false],
    ['one active region that is open', [['weur', OPEN]], false],
    [
      'one of two',
      [
        ['weur', OPEN],
        ['enam', CLOSED],
      ],
      false,
    ],
    [
      'two of two',
      [
        ['weur', OPEN],
        ['enam', OPEN],
      ],
      true,
    ],
    [
      'two of three',
      [
        ['weur', OPEN],
        ['enam', OPEN],
        ['apac', CLOSED],
      ],
      true,
    ],
    [
      'two of four',
      [
        ['weur', OPEN],
        ['enam', OPEN],
        ['apac', CLOSED],
        ['oc', CLOSED],
      ],
      false,
    ],
    [
      'a half-open one and an open one of three',
      [
        ['weur', HALF],
        ['enam', OPEN],
        ['apac', CLOSED],
      ],
      true,
    ],
  ])('%s: open everywhere is %3$s', (_, regions, open) => {
    const state = stateOf(...regions)
    expect(isOpenEverywhere(state, T)).toBe(open)
    expect(globalUpdateOf(state, T).everywhere !== undefined).toBe(open)
  })

  it('counts a region again for what it said last, and not twice', () => {
    const state = stateOf(['weur', OPEN], ['weur', OPEN])
    expect(isOpenEverywhere(state, T)).toBe(false)
  })

  it('forgets who was not heard of in the last window', () => {
    const at = T + settings.window
    const [alone, update] = applyRegionReport(EVERYWHERE, report('weur', OPEN), at)
    expect([isOpenEverywhere(alone, at), update.everywhere]).toEqual([false, undefined])
    // Another that is closed is no majority against it either.
    expect(applyRegionReport(alone, report('oc', CLOSED), at)[1].everywhere).toBeUndefined()
  })

  it('lets go when regions that are well come in', () => {
    const [state, update] = applyRegionReport(EVERYWHERE, report('oc', CLOSED), T + 1)
    expect([update.everywhere, state.breaker.state]).toEqual([undefined, 'closed'])
  })

  it('hears a window that is shorter than regions report for at least three seconds', () => {
    const short = { ...settings, window: 1_000 }
    let state = applyRegionReport(NEW_GLOBAL_STATE, report('weur', OPEN, { settings: short }), T)[0]
    state = applyRegionReport(state, report('enam', OPEN, { settings: short }), T)[0]
    expect([isOpenEverywhere(state, T + 2_999), isOpenEverywhere(state, T + 3_000)]).toEqual([true, false])
  })

  it('opens for as long and as often as the worst of them', () => {
    const [, update] = applyRegionReport(
      stateOf(['weur', { state: 'open', forMs: 4_000, openings: 3 }]),
      report('enam', OPEN),
      T + 500,
    )
    expect(update.everywhere).toEqual({ forMs: 3_500, openings: 3 })
  })

  it('has no part in upstreams without a breaker', () => {
    const [state, update] = applyRegionReport(
      NEW_GLOBAL_STATE,
      report('weur', CLOSED, { settings: undefined, wants: 'a' }),
      T,
    )
    expect([update.granted, state.leases]).toEqual([undefined, []])
  })
})

describe('leases', () => {
  const due = T + 1_000
  const ask = (state: GlobalState, region: Region, id: string, now = due, own = HALF) =>
    applyRegionReport(state, report(region, own, { wants: id }), now)

  it('are one for all regions that decide for themselves, until it is given back', () => {
    const regions = stateOf(['weur', HALF], ['enam', CLOSED], ['apac', CLOSED])
    const [first, yes] = ask(regions, 'weur', 'a', T)
    const [second, no] = ask(first, 'weur', 'b', T)
    expect([yes.granted, no.granted]).toEqual([true, false])
    const [third] = applyRegionReport(second, report('weur', OPEN, { probes: [{ lease: 'a', result: 'failed' }] }), T)
    expect(ask(third, 'weur', 'c', T)[1].granted).toBe(true)
    // A region's own probe says nothing of the others.
    expect([third.breaker.state, third.closing]).toEqual(['closed', 0])
  })

  it('are given to another after two seconds, or when the request that spends them must be over', () => {
    const [state] = ask(EVERYWHERE, 'weur', 'a')
    expect(ask(state, 'enam', 'b', due + PROBE_LEASE_MS - 1)[1].granted).toBe(false)
    expect(ask(state, 'enam', 'b', due + PROBE_LEASE_MS)[1].granted).toBe(true)
    const [spent] = applyRegionReport(state, report('weur', OPEN, { spent: [{ lease: 'a', ms: 5_000 }] }), due)
    expect(ask(spent, 'enam', 'b', due + PROBE_LEASE_MS + 4_999)[1].granted).toBe(false)
    expect(ask(spent, 'enam', 'b', due + PROBE_LEASE_MS + 5_000)[1].granted).toBe(true)
  })

  it('are not given before the time that all stay open, nor to any while the breaker is forced', () => {
    expect(ask(EVERYWHERE, 'weur', 'a', due - 1)[1].granted).toBe(false)
    expect(ask(applyOrder(EVERYWHERE, { force: 'open' }, T), 'weur', 'a')[1].granted).toBe(false)
  })

  it('may go to a region that is well itself, when all are open', () => {
    expect(ask(EVERYWHERE, 'apac', 'a', due, CLOSED)[1].granted).toBe(true)
  })

  it('close every region with a probe that passes, and one that fails keeps all of them open for longer', () => {
    const [probing] = ask(EVERYWHERE, 'apac', 'a', due, CLOSED)
    const answer = (result: 'passed' | 'failed') =>
      applyRegionReport(probing, report('apac', CLOSED, { probes: [{ lease: 'a', result }] }), due)
    const [well, good] = answer('passed')
    expect(good).toMatchObject({ closing: good.rev })
    expect([good.everywhere, well.regions.map(({ state }) => state)]).toEqual([undefined, Array(3).fill('closed')])
    expect(answer('failed')[1].everywhere).toEqual({ forMs: 2_000, openings: 2 })
  })

  it('does not believe a region that has not heard of the closing that it is still open', () => {
    const [probing] = ask(EVERYWHERE, 'apac', 'a', due, CLOSED)
    let [state] = applyRegionReport(
      probing,
      report('apac', CLOSED, { probes: [{ lease: 'a', result: 'passed' }] }),
      due,
    )
    for (const region of ['weur', 'enam'] as const) [state] = applyRegionReport(state, report(region, OPEN), due)
    expect(isOpenEverywhere(state, due)).toBe(false)
    for (const region of ['weur', 'enam'] as const)
      [state] = applyRegionReport(state, report(region, OPEN, { closing: state.closing }), due)
    expect(isOpenEverywhere(state, due)).toBe(true)
  })
})

describe('an operator', () => {
  it('drains and restores', () => {
    const drained = ['b:80', 'a:80', 'b:80'].reduce((state, drain) => applyOrder(state, { drain }, T), NEW_GLOBAL_STATE)
    expect(drained.drained).toEqual(['a:80', 'b:80'])
    expect(applyOrder(drained, { restore: 'b:80' }, T).drained).toEqual(['a:80'])
  })

  it.each<Parameters<typeof applyOrder>[1]>([{ force: null }, { restore: 'a:80' }])(
    'changes nothing with %o where it is so already',
    (order) => {
      expect(applyOrder(NEW_GLOBAL_STATE, order, T)).toBe(NEW_GLOBAL_STATE)
    },
  )

  it('forces open, and lets go', () => {
    const forced = applyOrder(EVERYWHERE, { force: 'open' }, T)
    expect(globalUpdateOf(forced, T).forced).toBe('open')
    const released = applyOrder(forced, { force: null }, T)
    expect(globalUpdateOf(released, T)).toMatchObject({ forced: null, everywhere: { openings: 1 } })
  })

  it('closes every region by forcing it closed, so that a release does not open again', () => {
    const forced = applyOrder(EVERYWHERE, { force: 'closed' }, T)
    const released = applyOrder(forced, { force: null }, T)
    expect(globalUpdateOf(released, T)).toMatchObject({ forced: null, closing: forced.rev })
    expect(globalUpdateOf(released, T).everywhere).toBeUndefined()
    expect(released.regions.map(({ state }) => state)).toEqual(['closed', 'closed', 'closed'])
  })
})

it('numbers each thing that regions must hear of, and nothing else', () => {
  const step = (state: GlobalState, more: Partial<RegionReport>, own = CLOSED) =>
    applyRegionReport(state, report('weur', own, more), T)[0]
  const quiet = step(NEW_GLOBAL_STATE, {})
  expect(quiet.rev).toBe(0)
  const drained = applyOrder(quiet, { drain: 'a:80' }, T)
  expect(drained.rev).toBe(T)
  // The clock stands still, or was set back.
  expect(applyOrder(drained, { drain: 'b:80' }, T - 60_000).rev).toBe(T + 1)
  expect(EVERYWHERE.rev).toBeGreaterThan(0)
  expect(applyRegionReport(EVERYWHERE, report('oc', OPEN), T)[0].rev).toBe(EVERYWHERE.rev)
})

it('keeps what would be missed after a crash', () => {
  expect(mustStoreGlobal(NEW_GLOBAL_STATE, EVERYWHERE)).toBe(true)
  expect(mustStoreGlobal(EVERYWHERE, applyRegionReport(EVERYWHERE, report('weur', OPEN), T + 500)[0])).toBe(false)
  expect(mustStoreGlobal(EVERYWHERE, applyRegionReport(EVERYWHERE, report('weur', HALF), T + 500)[0])).toBe(true)
  expect(
    mustStoreGlobal(EVERYWHERE, applyRegionReport(EVERYWHERE, report('weur', OPEN, { wants: 'a' }), T + 1_000)[0]),
  ).toBe(true)
})
