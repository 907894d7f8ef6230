import { describe, expect, it } from 'vitest'
import { CLOSED, type Circuit, type CircuitSettings } from '../../../src/upstream/circuit-breaker/breaker-state.ts'
import {
  holds,
  isLasting,
  learn,
  mayProbeForAll,
  NEW_REGIONAL,
  regionalVerdict,
  release,
  reserve,
  standAlone,
  standingOf,
  tally,
  type Regional,
} from '../../../src/upstream/circuit-breaker/regional-state.ts'
import type { WorldNews } from '../../../src/upstream/circuit-breaker/global-state.ts'

const settings: CircuitSettings = {
  failureRate: 50,
  slowCallRate: 100,
  minimumRequests: 10,
  window: 10_000,
  openDuration: 1_000,
  maxOpenDuration: 8_000,
  halfOpenProbes: 1,
}
const T = 1_000_000
const QUIET: WorldNews = { rev: 1, forced: null, drained: [], closing: 0 }
const failing = { settings, tally: { calls: 10, failures: 10, slow: 0 }, spent: [], probes: [] }
const OWN_OPEN: Circuit = { state: 'open', since: T, ms: 1_000, openings: 1 }

const open: Regional = { ...NEW_REGIONAL, own: OWN_OPEN }
const everywhere = learn(NEW_REGIONAL, { ...QUIET, everywhere: { forMs: 1_000, openings: 1 } }, T)
const verdict = (region: Regional, now = T, lease: { reserved?: string; granted?: string } = {}) =>
  regionalVerdict(region, settings, { reserved: lease.reserved ?? 'r', granted: lease.granted }, now)

describe('a region that decides for itself', () => {
  it('opens by its own calls', () => {
    expect(verdict(tally(NEW_REGIONAL, failing, T))).toEqual({ state: 'open', forMs: 1_000 })
  })

  it('reserves a lease when its time is over, and gives it out or back', () => {
    expect(holds(reserve(open, 'a', settings, T + 999), 'a')).toBe(false)
    const reserved = reserve(open, 'a', settings, T + 1_000)
    expect(verdict(reserved, T + 1_000, { reserved: 'a' })).toEqual({ state: 'open', forMs: 0, lease: 'a' })
    expect(holds(reserve(reserved, 'b', settings, T + 1_000), 'b')).toBe(false)
    const free = release(reserved, 'a', settings, T + 1_000)
    expect(verdict(free, T + 1_000, { reserved: 'a' })).toEqual({ state: 'open', forMs: 0 })
    expect(holds(reserve(free, 'b', settings, T + 1_000), 'b')).toBe(true)
  })

  it('says how it stands', () => {
    expect(standingOf(CLOSED, T)).toEqual({ state: 'closed', forMs: 0, openings: 0 })
    expect(standingOf(OWN_OPEN, T + 400)).toEqual({ state: 'open', forMs: 600, openings: 1 })
    const half = reserve(open, 'a', settings, T + 1_000)
    expect(standingOf(half.own, T + 1_000)).toEqual({ state: 'half-open', forMs: 0, openings: 1 })
  })
})

describe('a region while most are open', () => {
  it('refuses although it is well itself, and leaves the leases to the world', () => {
    expect(verdict(everywhere, T + 400)).toEqual({ state: 'open', forMs: 600 })
    expect(reserve(everywhere, 'a', settings, T + 1_000)).toBe(everywhere)
    expect([mayProbeForAll(everywhere, T + 999), mayProbeForAll(everywhere, T + 1_000)]).toEqual([false, true])
    expect(verdict(everywhere, T + 1_000, { granted: 'g' })).toEqual({ state: 'open', forMs: 0, lease: 'g' })
  })

  it('lets through again when the world lets go, or cannot be reached', () => {
    expect(verdict(learn(everywhere, { ...QUIET, rev: 2 }, T))).toEqual({ state: 'closed' })
    expect(verdict(standAlone(everywhere))).toEqual({ state: 'closed' })
    expect(standAlone(open)).toBe(open)
  })

  it('takes over the back-off of all, to go on with when it is left alone', () => {
    const together = learn(open, { ...QUIET, everywhere: { forMs: 4_000, openings: 3 } }, T)
    expect(standAlone(together).own).toEqual({ state: 'open', since: T, ms: 4_000, openings: 3 })
    // The same news again does not begin anew.
    expect(learn(together, { ...QUIET, everywhere: { forMs: 3_000, openings: 3 } }, T + 1_000).own).toBe(together.own)
  })

  it('closes with all', () => {
    const probing = learn(open, { ...QUIET, everywhere: { forMs: 0, openings: 3 } }, T)
    const closed = learn(probing, { ...QUIET, rev: 2, closing: 2 }, T)
    expect(verdict(closed)).toEqual({ state: 'closed' })
    // Heard once: it may open by itself afterwards.
    const again = tally(closed, failing, T)
    expect(learn(again, { ...QUIET, rev: 3, closing: 2 }, T).own.state).toBe('open')
  })
})

describe('a forced breaker', () => {
  const forcedOpen = learn(NEW_REGIONAL, { ...QUIET, forced: 'open' }, T)
  const forcedClosed = learn(open, { ...QUIET, forced: 'closed', closing: 1 }, T)

  it('says so, and never probes', () => {
    expect(verdict(forcedOpen)).toEqual({ state: 'open', forMs: 1_000, forced: true })
    expect(verdict(forcedClosed)).toEqual({ state: 'closed', forced: true })
    expect(reserve(forcedOpen, 'a', settings, T)).toBe(forcedOpen)
    expect(mayProbeForAll({ ...everywhere, forced: 'open' }, T + 1_000)).toBe(false)
  })

  it('counts nothing', () => {
    expect(tally(forcedClosed, failing, T)).toBe(forcedClosed)
  })

  it('stays forced while the world is out of reach', () => {
    expect(verdict(standAlone(forcedOpen))).toMatchObject({ state: 'open', forced: true })
  })

  it('decides again when it is released, as if nothing had been', () => {
    expect(verdict(learn(forcedClosed, { ...QUIET, rev: 2, closing: 1 }, T))).toEqual({ state: 'closed' })
  })

  it('means nothing to an upstream without a breaker', () => {
    expect(regionalVerdict(forcedOpen, undefined, { reserved: 'r', granted: undefined }, T)).toEqual({
      state: 'closed',
    })
  })
})

it('passes over news that are older than the last', () => {
  const drained = learn(NEW_REGIONAL, { ...QUIET, rev: 5, drained: ['a:80'] }, T)
  expect(learn(drained, { ...QUIET, rev: 4 }, T)).toBe(drained)
  expect(learn(drained, { ...QUIET, rev: 6 }, T).drained).toEqual([])
})

it('keeps what would be missed after a crash', () => {
  const counted = tally(NEW_REGIONAL, { ...failing, tally: { calls: 1, failures: 0, slow: 0 } }, T)
  expect(isLasting(NEW_REGIONAL, counted)).toBe(false)
  expect(isLasting(NEW_REGIONAL, open)).toBe(true)
  expect(isLasting(open, reserve(open, 'a', settings, T + 1_000))).toBe(true)
  expect(isLasting(NEW_REGIONAL, everywhere)).toBe(true)
})
