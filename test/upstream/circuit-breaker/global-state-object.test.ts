import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, it, vi } from 'vitest'
import type { Region } from '../../../src/core/region.ts'
import { GLOBAL_PROTOCOL, type RegionReport } from '../../../src/upstream/circuit-breaker/api.ts'
import { BREAKER_PROTOCOL, type BreakerReport } from '../../../src/upstream/circuit-breaker/breaker-report.ts'

const settings = {
  failureRate: 50,
  slowCallRate: 100,
  minimumRequests: 10,
  window: 10_000,
  openDuration: 300,
  maxOpenDuration: 1_200,
  halfOpenProbes: 1,
}
const REGIONS = ['weur', 'enam', 'apac'] as const
const globalState = (upstream: string) => env.GLOBAL_UPSTREAMS.getByName(upstream)

/** Sends the report of an isolate in one region. */
const report = (upstream: string, region: Region, part: Partial<BreakerReport> = {}) =>
  env.BREAKERS.getByName(`${region}:${upstream}`).report(BREAKER_PROTOCOL, {
    upstream,
    region,
    settings,
    counters: { calls: 0, failures: 0, slow: 0 },
    spent: [],
    probes: [],
    wantsLease: false,
    health: undefined,
    ...part,
  })
const fail = (upstream: string, region: Region) =>
  report(upstream, region, { counters: { calls: 10, failures: 10, slow: 0 } })
const statesOf = async (upstream: string) => {
  const updates = await Promise.all(REGIONS.map((region) => report(upstream, region)))
  return updates.map((update) => update?.state)
}
const requestLeases = async (upstream: string) => {
  const updates = await Promise.all(REGIONS.map((region) => report(upstream, region, { wantsLease: true })))
  return updates.flatMap((update, i) =>
    update?.state === 'open' && update.lease !== undefined ? [{ region: REGIONS[i]!, lease: update.lease }] : [],
  )
}
/** Waits until the regions have received their updates, which are sent in the background. */
const untilStates = (upstream: string, states: readonly string[]) =>
  vi.waitFor(async () => expect(await statesOf(upstream)).toEqual(states), { timeout: 1_000, interval: 20 })

it('opens everywhere when two of three regions are open, and not for one', async () => {
  await statesOf('quorum')
  await fail('quorum', 'weur')
  await untilStates('quorum', ['open', 'closed', 'closed'])
  expect(await globalState('quorum').inspect()).toMatchObject({
    everywhere: { state: 'closed' },
    regions: [
      { region: 'apac', state: 'closed', active: true },
      { region: 'enam', state: 'closed', active: true },
      { region: 'weur', state: 'open', active: true },
    ],
  })
  await fail('quorum', 'enam')
  await untilStates('quorum', ['open', 'open', 'open'])
  expect(await globalState('quorum').inspect()).toMatchObject({ everywhere: { state: 'open', openings: 1 } })
  expect(await env.BREAKERS.getByName('apac:quorum').inspect()).toMatchObject({
    openEverywhere: true,
    own: { state: 'closed' },
  })
})

it('is its own state alone in the one region that there is', async () => {
  await fail('single', 'weur')
  await vi.waitFor(async () =>
    expect((await globalState('single').inspect()).regions).toMatchObject([{ state: 'open' }]),
  )
  expect(await globalState('single').inspect()).toMatchObject({ everywhere: { state: 'closed' } })
})

it('probes with one request for all regions, and that one speaks for all', async () => {
  await statesOf('probes')
  for (const region of REGIONS) await fail('probes', region)
  await untilStates('probes', ['open', 'open', 'open'])
  const probe = async () => {
    let leases: Awaited<ReturnType<typeof requestLeases>> = []
    await vi.waitFor(async () => expect((leases = await requestLeases('probes'))).not.toEqual([]), { timeout: 2_000 })
    expect(leases).toHaveLength(1)
    expect(await requestLeases('probes')).toEqual([])
    return leases[0]!
  }
  const first = await probe()
  const failed = await report('probes', first.region, { probes: [{ lease: first.lease, result: 'failed' }] })
  expect(failed).toMatchObject({ state: 'open' })
  expect((failed as { forMs: number }).forMs).toBeGreaterThan(400)
  expect(await requestLeases('probes')).toEqual([])
  const second = await probe()
  await report('probes', second.region, { probes: [{ lease: second.lease, result: 'passed' }] })
  await untilStates('probes', ['closed', 'closed', 'closed'])
  expect(await globalState('probes').inspect()).toMatchObject({ leases: 0, everywhere: { state: 'closed' } })
})

it('lets regions that are open, but are no majority, take turns with the one lease', async () => {
  for (const region of ['apac', 'oc', 'sam'] as const) await report('turns', region)
  for (const region of ['weur', 'enam'] as const) await fail('turns', region)
  await new Promise((over) => setTimeout(over, 310))
  const ask = (region: Region) => report('turns', region, { wantsLease: true })
  const updates = await Promise.all([ask('weur'), ask('enam')])
  const leases = updates.flatMap((update) => (update?.state === 'open' && update.lease ? [update.lease] : []))
  expect(leases).toHaveLength(1)
  const [first, second] = 'lease' in (updates[0] as object) ? (['weur', 'enam'] as const) : (['enam', 'weur'] as const)
  await report('turns', first, { probes: [{ lease: leases[0]!, result: 'passed' }] })
  // The probe closes its own region alone.
  expect([await report('turns', first), await ask(second)]).toMatchObject([
    { state: 'closed' },
    { state: 'open', lease: expect.any(String) as string },
  ])
})

it('hears of a region at once when that changes, and else once a second', async () => {
  await report('often', 'weur')
  let reports = 0
  await runInDurableObject(env.BREAKERS.getByName('weur:often'), (breaker) => {
    const { GLOBAL_UPSTREAMS } = breaker['env']
    const getByName = (name: string) => {
      reports++
      return GLOBAL_UPSTREAMS.getByName(name)
    }
    breaker['env'] = { ...breaker['env'], GLOBAL_UPSTREAMS: { getByName } as unknown as typeof GLOBAL_UPSTREAMS }
    const now = Date.now()
    breaker.now = () => now
  })
  for (let i = 0; i < 20; i++) await report('often', 'weur')
  expect(reports).toBe(0)
  await fail('often', 'weur')
  expect(reports).toBe(1)
  await runInDurableObject(env.BREAKERS.getByName('weur:often'), (breaker) => {
    const now = breaker.now() + 1_000
    breaker.now = () => now
  })
  for (let i = 0; i < 20; i++) await report('often', 'weur')
  expect(reports).toBe(2)
})

it('tells every region what an operator orders, at once and after a crash', async () => {
  await statesOf('steered')
  expect(await globalState('steered').order({ force: 'open' })).toMatchObject({ forced: 'open' })
  expect(await statesOf('steered')).toEqual(['open', 'open', 'open'])
  expect(await report('steered', 'weur')).toMatchObject({ forced: true })
  expect(await globalState('steered').order({ drain: 'a:80' })).toMatchObject({ drained: ['a:80'] })
  expect(await report('steered', 'apac')).toMatchObject({ targets: { 'a:80': 'drained' } })
  await evictDurableObject(globalState('steered'))
  await evictDurableObject(env.BREAKERS.getByName('weur:steered'))
  expect(await globalState('steered').inspect()).toMatchObject({ forced: 'open', drained: ['a:80'] })
  expect(await report('steered', 'weur')).toMatchObject({ forced: true, targets: { 'a:80': 'drained' } })
  // A new region receives the state with its first report.
  await vi.waitFor(async () => expect(await report('steered', 'oc')).toMatchObject({ state: 'open', forced: true }))
  await globalState('steered').order({ restore: 'a:80' })
  await globalState('steered').order({ force: null })
  expect(await report('steered', 'weur')).toEqual({ state: 'closed', targets: {} })
})

it('closes by force what is open, counts nothing meanwhile, and a release begins anew', async () => {
  await statesOf('forced')
  for (const region of REGIONS) await fail('forced', region)
  await untilStates('forced', ['open', 'open', 'open'])
  await globalState('forced').order({ force: 'closed' })
  expect(await fail('forced', 'weur')).toMatchObject({ state: 'closed', forced: true })
  await globalState('forced').order({ force: null })
  expect(await statesOf('forced')).toEqual(['closed', 'closed', 'closed'])
  expect(await fail('forced', 'weur')).toMatchObject({ state: 'open' })
})

it('comes back from a crash open everywhere, with the leases that are out', async () => {
  await statesOf('crash')
  for (const region of REGIONS) await fail('crash', region)
  await untilStates('crash', ['open', 'open', 'open'])
  await vi.waitFor(async () => expect(await requestLeases('crash')).toHaveLength(1), { timeout: 1_000 })
  await evictDurableObject(globalState('crash'))
  expect(await globalState('crash').inspect()).toMatchObject({ leases: 1, everywhere: { state: 'half-open' } })
  expect(await requestLeases('crash')).toEqual([])
})

it('lets a region that it lost go on alone, and the others by their own majority', async () => {
  await statesOf('gone')
  for (const region of ['weur', 'enam'] as const) await fail('gone', region)
  await untilStates('gone', ['open', 'open', 'open'])
  // Ten seconds later only one of them reports.
  await runInDurableObject(globalState('gone'), (instance) => {
    instance.now = () => Date.now() + 10_000
  })
  await vi.waitFor(
    async () => {
      await report('gone', 'apac')
      expect(await globalState('gone').inspect()).toMatchObject({ everywhere: { state: 'closed' } })
    },
    { timeout: 2_500, interval: 50 },
  )
  expect(await report('gone', 'apac')).toMatchObject({ state: 'closed' })
})

it('answers nothing to a version that it does not speak, and to a report that it cannot read', async () => {
  expect(await globalState('odd').report(GLOBAL_PROTOCOL + 1, {} as RegionReport)).toBeUndefined()
  expect(await globalState('odd').report(GLOBAL_PROTOCOL, null as unknown as RegionReport)).toBeUndefined()
})
