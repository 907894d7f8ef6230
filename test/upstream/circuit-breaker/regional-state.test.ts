import { describe, expect, it } from 'vitest'
import type { GlobalUpdate } from '../../../src/upstream/circuit-breaker/api.ts'
import {
  CLOSED_BREAKER,
  statusOf,
  type BreakerSettings,
  type BreakerState,
} from '../../../src/upstream/circuit-breaker/breaker-state.ts'
import {
  applyBreakerReport,
  applyGlobalUpdate,
  holdsLease,
  mayProbeGlobally,
  mustStoreRegional,
  NEW_REGIONAL_STATE,
  regionalUpdateOf,
  releaseLease,
  reserveLease,
  withoutGlobalState,
  type RegionalState,
} from '../../../src/upstream/circuit-breaker/regional-state.ts'

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
const QUIET: GlobalUpdate = { rev: 1, forced: null, drained: [], closing: 0 }
const failing = { settings, counters: { calls: 10, failures: 10, slow: 0 }, spent: [], probes: [] }
const OWN_OPEN: BreakerState = { state: 'open', since: T, ms: 1_000, openings: 1 }

const open: RegionalState = { ...NEW_REGIONAL_STATE, own: OWN_OPEN }
const everywhere = applyGlobalUpdate(NEW_REGIONAL_STATE, { ...QUIET, everywhere: { forMs: 1_000, openings: 1 } }, T)
const updateFor = (region: RegionalState, now = T, lease: { reserved?: string; granted?: string } = {}) =>
  regionalUpdateOf(region, settings, { reserved: lease.reserved ?? 'r', granted: lease.granted }, now)

describe('a region that decides for itself', () => {
  it('opens by its own calls', () => {
    expect(updateFor(applyBreakerReport(NEW_REGIONAL_STATE, failing, T))).toEqual({ state: 'open', forMs: 1_000 })
  })

  it('reserves a lease when its time is over, and gives it out or back', () => {
    expect(holdsLease(reserveLease(open, 'a', settings, T + 999), 'a')).toBe(false)
    const reserved = reserveLease(open, 'a', settings, T + 1_000)
    expect(updateFor(reserved, T + 1_000, { reserved: 'a' })).toEqual({ state: 'open', forMs: 0, lease: 'a' })
    expect(holdsLease(reserveLease(reserved, 'b', settings, T + 1_000), 'b')).toBe(false)
    const free = releaseLease(reserved, 'a', settings, T + 1_000)
    expect(updateFor(free, T + 1_000, { reserved: 'a' })).toEqual({ state: 'open', forMs: 0 })
    expect(holdsLease(reserveLease(free, 'b', settings, T + 1_000), 'b')).toBe(true)
  })

  it('says how it stands', () => {
    expect(statusOf(CLOSED_BREAKER, T)).toEqual({ state: 'closed', forMs: 0, openings: 0 })
    expect(statusOf(OWN_OPEN, T + 400)).toEqual({ state: 'open', forMs: 600, openings: 1 })
    const half = reserveLease(open, 'a', settings, T + 1_000)
    expect(statusOf(half.own, T + 1_000)).toEqual({ state: 'half-open', forMs: 0, openings: 1 })
  })
})

describe('a region while most are open', () => {
  it('refuses although it is well itself, and leaves the leases to the world', () => {
    expect(updateFor(everywhere, T + 400)).toEqual({ state: 'open', forMs: 600 })
    expect(reserveLease(everywhere, 'a', settings, T + 1_000)).toBe(everywhere)
    expect([mayProbeGlobally(everywhere, T + 999), mayProbeGlobally(everywhere, T + 1_000)]).toEqual([false, true])
    expect(updateFor(everywhere, T + 1_000, { granted: 'g' })).toEqual({ state: 'open', forMs: 0, lease: 'g' })
  })

  it('lets through again when the world lets go, or cannot be reached', () => {
    expect(updateFor(applyGlobalUpdate(everywhere, { ...QUIET, rev: 2 }, T))).toEqual({ state: 'closed' })
    expect(updateFor(withoutGlobalState(everywhere))).toEqual({ state: 'closed' })
    expect(withoutGlobalState(open)).toBe(open)
  })

  it('takes over the back-off of all, to go on with when it is left alone', () => {
    const together = applyGlobalUpdate(open, { ...QUIET, everywhere: { forMs: 4_000, openings: 3 } }, T)
    expect(withoutGlobalState(together).own).toEqual({ state: 'open', since: T, ms: 4_000, openings: 3 })
    // The same update again does not restart the time.
    expect(applyGlobalUpdate(together, { ...QUIET, everywhere: { forMs: 3_000, openings: 3 } }, T + 1_000).own).toBe(
      together.own,
    )
  })

  it('closes with all', () => {
    const probing = applyGlobalUpdate(open, { ...QUIET, everywhere: { forMs: 0, openings: 3 } }, T)
    const closed = applyGlobalUpdate(probing, { ...QUIET, rev: 2, closing: 2 }, T)
    expect(updateFor(closed)).toEqual({ state: 'closed' })
    // Applied once: the region may open by itself afterwards.
    const again = applyBreakerReport(closed, failing, T)
    expect(applyGlobalUpdate(again, { ...QUIET, rev: 3, closing: 2 }, T).own.state).toBe('open')
  })
})

describe('a forced breaker', () => {
  const forcedOpen = applyGlobalUpdate(NEW_REGIONAL_STATE, { ...QUIET, forced: 'open' }, T)
  const forcedClosed = applyGlobalUpdate(open, { ...QUIET, forced: 'closed', closing: 1 }, T)

  it('says so, and never probes', () => {
    expect(updateFor(forcedOpen)).toEqual({ state: 'open', forMs: 1_000, forced: true })
    expect(updateFor(forcedClosed)).toEqual({ state: 'closed', forced: true })
    expect(reserveLease(forcedOpen, 'a', settings, T)).toBe(forcedOpen)
    expect(mayProbeGlobally({ ...everywhere, forced: 'open' }, T + 1_000)).toBe(false)
  })

  it('counts nothing', () => {
    expect(applyBreakerReport(forcedClosed, failing, T)).toBe(forcedClosed)
  })

  it('stays forced while the world is out of reach', () => {
    expect(updateFor(withoutGlobalState(forcedOpen))).toMatchObject({ state: 'open', forced: true })
  })

  it('decides again when it is released, as if nothing had been', () => {
    expect(updateFor(applyGlobalUpdate(forcedClosed, { ...QUIET, rev: 2, closing: 1 }, T))).toEqual({ state: 'closed' })
  })

  it('means nothing to an upstream without a breaker', () => {
    expect(regionalUpdateOf(forcedOpen, undefined, { reserved: 'r', granted: undefined }, T)).toEqual({
      state: 'closed',
    })
  })
})

it('passes over news that are older than the last', () => {
  const drained = applyGlobalUpdate(NEW_REGIONAL_STATE, { ...QUIET, rev: 5, drained: ['a:80'] }, T)
  expect(applyGlobalUpdate(drained, { ...QUIET, rev: 4 }, T)).toBe(drained)
  expect(applyGlobalUpdate(drained, { ...QUIET, rev: 6 }, T).drained).toEqual([])
})

it('keeps what would be missed after a crash', () => {
  const counted = applyBreakerReport(
    NEW_REGIONAL_STATE,
    { ...failing, counters: { calls: 1, failures: 0, slow: 0 } },
    T,
  )
  expect(mustStoreRegional(NEW_REGIONAL_STATE, counted)).toBe(false)
  expect(mustStoreRegional(NEW_REGIONAL_STATE, open)).toBe(true)
  expect(mustStoreRegional(open, reserveLease(open, 'a', settings, T + 1_000))).toBe(true)
  expect(mustStoreRegional(NEW_REGIONAL_STATE, everywhere)).toBe(true)
})
