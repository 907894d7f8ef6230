import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Region } from '../../../src/core/region.ts'
import type { RegionReport } from '../../../src/upstream/circuit-breaker/api.ts'
import {
  PROBE_LEASE_MS,
  reachesThreshold,
  statusOf,
  sumCounters,
  type BreakerSettings,
  type ProbeResult,
} from '../../../src/upstream/circuit-breaker/breaker-state.ts'
import {
  applyOrder,
  applyRegionReport,
  globalUpdateOf,
  NEW_GLOBAL_STATE,
  type GlobalState,
} from '../../../src/upstream/circuit-breaker/global-state.ts'
import {
  applyBreakerReport,
  applyGlobalUpdate,
  holdsLease,
  mayProbeGlobally,
  NEW_REGIONAL_STATE,
  regionalUpdateOf,
  releaseLease,
  reserveLease,
  withoutGlobalState,
  type RegionalState,
} from '../../../src/upstream/circuit-breaker/regional-state.ts'

const REGIONS: readonly Region[] = ['weur', 'enam', 'apac', 'sam']

interface Out {
  readonly id: string
  readonly region: Region
  until: number
}

/** Regions and their global state as their objects run them, without a network; each step tells whether its report is lost. */
function makePlanet(settings: BreakerSettings) {
  const regions = new Map<Region, RegionalState>(REGIONS.map((region) => [region, NEW_REGIONAL_STATE]))
  const lastReports = new Map<Region, { open: boolean; at: number; closing: number }>()
  let globalState: GlobalState = NEW_GLOBAL_STATE
  let out: Out[] = []
  let ids = 0
  let now = 1_000_000

  const sendReport = (region: Region, lost: boolean, part: Pick<RegionReport, 'wants' | 'spent' | 'probes'>) => {
    const { own, closing } = regions.get(region)!
    if (lost) {
      regions.set(region, withoutGlobalState(regions.get(region)!))
      return undefined
    }
    const report = { upstream: 'u', region, own: statusOf(own, now), closing, settings, ...part }
    const [next, update] = applyRegionReport(globalState, report, now)
    lastReports.set(region, { open: own.state !== 'closed', at: now, closing })
    publish(next)
    regions.set(region, applyGlobalUpdate(regions.get(region)!, update, now))
    return update
  }
  const publish = (next: GlobalState) => {
    const changed = next.rev !== globalState.rev
    globalState = next
    if (changed)
      for (const [name, region] of regions)
        regions.set(name, applyGlobalUpdate(region, globalUpdateOf(globalState, now), now))
  }
  const isOut = (lease: Out) => lease.until > now

  return {
    wait: (ms: number) => void (now += ms),
    force: (state: 'open' | 'closed' | null) => publish(applyOrder(globalState, { force: state }, now)),
    count: (region: Region, calls: number, failures: number, lost: boolean) => {
      const report = { settings, counters: { calls, failures, slow: 0 }, spent: [], probes: [] }
      regions.set(region, applyBreakerReport(regions.get(region)!, report, now))
      sendReport(region, lost, {})
    },
    ask: (region: Region, spends: number, lost: boolean) => {
      const id = `${region}-${ids++}`
      const reserved = reserveLease(regions.get(region)!, id, settings, now)
      regions.set(region, reserved)
      if (!holdsLease(reserved, id) && !mayProbeGlobally(reserved, now)) return
      const update = sendReport(region, lost, { wants: id })
      if (update === undefined) return
      if (!update.granted) return void regions.set(region, releaseLease(regions.get(region)!, id, settings, now))
      // Some are never spent.
      if (spends > 0) sendReport(region, false, { spent: [{ lease: id, ms: spends }] })
      out.push({ id, region, until: now + PROBE_LEASE_MS + spends })
    },
    settle: (nth: number, result: ProbeResult) => {
      out = out.filter(isOut)
      const lease = out[nth % out.length]
      if (lease === undefined) return
      out.splice(out.indexOf(lease), 1)
      const probes = [{ lease: lease.id, result }]
      const report = { settings, counters: { calls: 0, failures: 0, slow: 0 }, spent: [], probes }
      regions.set(lease.region, applyBreakerReport(regions.get(lease.region)!, report, now))
      sendReport(lease.region, false, { probes })
    },
    check: () => {
      expect(out.filter(isOut).length).toBeLessThanOrEqual(settings.halfOpenProbes)
      const { everywhere, closing, forced } = globalUpdateOf(globalState, now)
      const recent = [...lastReports.values()].filter(({ at }) => now - at < Math.max(settings.window, 3_000))
      const open = recent.filter((region) => region.open && region.closing >= closing).length
      // Checked at the time of a report: between reports no region receives an update.
      const fresh = recent.some(({ at }) => at === now)
      if (everywhere && fresh) expect(open >= 2 && open * 2 > recent.length).toBe(true)
      for (const region of regions.values()) {
        const { state } = regionalUpdateOf(region, settings, { reserved: '', granted: undefined }, now)
        if (forced !== null) expect(state).toBe(forced)
        else if (state === 'closed') {
          expect(region.own.state).toBe('closed')
          if (region.own.state === 'closed')
            expect(reachesThreshold(sumCounters(region.own.slots), settings)).toBe(false)
        } else expect(region.own.state !== 'closed' || region.everywhere !== undefined).toBe(true)
      }
      return { everywhere: everywhere !== undefined, out: out.filter(isOut).length }
    },
  }
}

const aRegion = fc.constantFrom(...REGIONS)
const isLost = fc.integer({ min: 0, max: 9 }).map((n) => n === 0)
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('count' as const),
      region: aRegion,
      calls: fc.nat(30),
      bad: fc.nat(100),
      lost: isLost,
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant('ask' as const), region: aRegion, spends: fc.nat(4_000), lost: isLost }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      nth: fc.nat(5),
      result: fc.constantFrom<ProbeResult>('passed', 'failed', 'void'),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(1_500) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('steer' as const), force: fc.constantFrom('open', 'closed', null, null) }),
  },
)
const shape = fc.record({
  failureRate: fc.integer({ min: 1, max: 100 }),
  slowCallRate: fc.constant(100),
  minimumRequests: fc.integer({ min: 1, max: 20 }),
  window: fc.integer({ min: 1_000, max: 20_000 }),
  openDuration: fc.integer({ min: 1, max: 2_000 }),
  maxOpenDuration: fc.integer({ min: 2_000, max: 9_000 }),
  halfOpenProbes: fc.integer({ min: 1, max: 3 }),
})

it('never has more probes under way than leases, opens everywhere by majority alone, and is closed only where calls went well', () => {
  const seen = { everywhere: 0, out: 0 }
  fc.assert(
    fc.property(shape, fc.array(step, { maxLength: 100, size: 'max' }), (settings, steps) => {
      const planet = makePlanet(settings)
      for (const one of steps) {
        if (one.kind === 'wait') planet.wait(one.ms)
        if (one.kind === 'steer') planet.force(one.force)
        if (one.kind === 'count') planet.count(one.region, one.calls, Math.round((one.calls * one.bad) / 100), one.lost)
        if (one.kind === 'ask') planet.ask(one.region, one.spends, one.lost)
        if (one.kind === 'settle') planet.settle(one.nth, one.result)
        const { everywhere, out } = planet.check()
        if (everywhere) seen.everywhere++
        if (out > 0) seen.out++
      }
    }),
    { numRuns: 500 },
  )
  // The steps lead there at all.
  expect(Math.min(seen.everywhere, seen.out)).toBeGreaterThan(100)
})
