import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, it, vi } from 'vitest'
import type { Region } from '../../../src/core/region.ts'
import { BREAKER_PROTOCOL, type BreakerReport } from '../../../src/upstream/circuit-breaker/breaker-report.ts'
import { GLOBAL_PROTOCOL, type RegionReport } from '../../../src/upstream/circuit-breaker/global-state.ts'

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
const world = (upstream: string) => env.GLOBAL_UPSTREAMS.getByName(upstream)

/** What isolates of one region report. */
const report = (upstream: string, region: Region, news: Partial<BreakerReport> = {}) =>
  env.BREAKERS.getByName(`${region}:${upstream}`).report(BREAKER_PROTOCOL, {
    upstream,
    region,
    settings,
    counters: { calls: 0, failures: 0, slow: 0 },
    spent: [],
    probes: [],
    wantsLease: false,
    health: undefined,
    ...news,
  })
const fail = (upstream: string, region: Region) =>
  report(upstream, region, { counters: { calls: 10, failures: 10, slow: 0 } })
const statesOf = async (upstream: string) => {
  const verdicts = await Promise.all(REGIONS.map((region) => report(upstream, region)))
  return verdicts.map((verdict) => verdict?.state)
}
const askAll = async (upstream: string) => {
  const verdicts = await Promise.all(REGIONS.map((region) => report(upstream, region, { wantsLease: true })))
  return verdicts.flatMap((verdict, i) =>
    verdict?.state === 'open' && verdict.lease !== undefined ? [{ region: REGIONS[i]!, lease: verdict.lease }] : [],
  )
}
/** Waits until the regions have heard: what they are told they are told in the background. */
const untilStates = (upstream: string, states: readonly string[]) =>
  vi.waitFor(async () => expect(await statesOf(upstream)).toEqual(states), { timeout: 1_000, interval: 20 })

it('opens everywhere when two of three regions are open, and not for one', async () => {
  await statesOf('quorum')
  await fail('quorum', 'weur')
  await untilStates('quorum', ['open', 'closed', 'closed'])
  expect(await world('quorum').inspect()).toMatchObject({
    everywhere: { state: 'closed' },
    regions: [
      { region: 'apac', state: 'closed', active: true },
      { region: 'enam', state: 'closed', active: true },
      { region: 'weur', state: 'open', active: true },
    ],
  })
  await fail('quorum', 'enam')
  await untilStates('quorum', ['open', 'open', 'open'])
  expect(await world('quorum').inspect()).toMatchObject({ everywhere: { state: 'open', openings: 1 } })
  expect(await env.BREAKERS.getByName('apac:quorum').inspect()).toMatchObject({
    openEverywhere: true,
    own: { state: 'closed' },
  })
})

it('is its own state alone in the one region that there is', async () => {
  await fail('single', 'weur')
  await vi.waitFor(async () => expect((await world('single').inspect()).regions).toMatchObject([{ state: 'open' }]))
  expect(await world('single').inspect()).toMatchObject({ everywhere: { state: 'closed' } })
})

it('probes with one request for all regions, and that one speaks for all', async () => {
  await statesOf('probes')
  for (const region of REGIONS) await fail('probes', region)
  await untilStates('probes', ['open', 'open', 'open'])
  const probe = async () => {
    let leases: Awaited<ReturnType<typeof askAll>> = []
    await vi.waitFor(async () => expect((leases = await askAll('probes'))).not.toEqual([]), { timeout: 2_000 })
    expect(leases).toHaveLength(1)
    expect(await askAll('probes')).toEqual([])
    return leases[0]!
  }
  const first = await probe()
  const failed = await report('probes', first.region, { probes: [{ lease: first.lease, result: 'failed' }] })
  expect(failed).toMatchObject({ state: 'open' })
  expect((failed as { forMs: number }).forMs).toBeGreaterThan(400)
  expect(await askAll('probes')).toEqual([])
  const second = await probe()
  await report('probes', second.region, { probes: [{ lease: second.lease, result: 'passed' }] })
  await untilStates('probes', ['closed', 'closed', 'closed'])
  expect(await world('probes').inspect()).toMatchObject({ leases: 0, everywhere: { state: 'closed' } })
})

it('lets regions that are open, but are no majority, take turns with the one lease', async () => {
  for (const region of ['apac', 'oc', 'sam'] as const) await report('turns', region)
  for (const region of ['weur', 'enam'] as const) await fail('turns', region)
  await new Promise((over) => setTimeout(over, 310))
  const ask = (region: Region) => report('turns', region, { wantsLease: true })
  const verdicts = await Promise.all([ask('weur'), ask('enam')])
  const given = verdicts.flatMap((verdict) => (verdict?.state === 'open' && verdict.lease ? [verdict.lease] : []))
  expect(given).toHaveLength(1)
  const [first, second] = 'lease' in (verdicts[0] as object) ? (['weur', 'enam'] as const) : (['enam', 'weur'] as const)
  await report('turns', first, { probes: [{ lease: given[0]!, result: 'passed' }] })
  // It speaks for its own region.
  expect([await report('turns', first), await ask(second)]).toMatchObject([
    { state: 'closed' },
    { state: 'open', lease: expect.any(String) as string },
  ])
})

it('hears of a region at once when that changes, and else once a second', async () => {
  await report('often', 'weur')
  let tells = 0
  await runInDurableObject(env.BREAKERS.getByName('weur:often'), (breaker) => {
    const { GLOBAL_UPSTREAMS } = breaker['env']
    const getByName = (name: string) => {
      tells++
      return GLOBAL_UPSTREAMS.getByName(name)
    }
    breaker['env'] = { ...breaker['env'], GLOBAL_UPSTREAMS: { getByName } as unknown as typeof GLOBAL_UPSTREAMS }
    const now = Date.now()
    breaker.now = () => now
  })
  for (let i = 0; i < 20; i++) await report('often', 'weur')
  expect(tells).toBe(0)
  await fail('often', 'weur')
  expect(tells).toBe(1)
  await runInDurableObject(env.BREAKERS.getByName('weur:often'), (breaker) => {
    const now = breaker.now() + 1_000
    breaker.now = () => now
  })
  for (let i = 0; i < 20; i++) await report('often', 'weur')
  expect(tells).toBe(2)
})

it('tells every region what an operator orders, at once and after a crash', async () => {
  await statesOf('steered')
  expect(await world('steered').order({ force: 'open' })).toMatchObject({ forced: 'open' })
  expect(await statesOf('steered')).toEqual(['open', 'open', 'open'])
  expect(await report('steered', 'weur')).toMatchObject({ forced: true })
  expect(await world('steered').order({ drain: 'a:80' })).toMatchObject({ drained: ['a:80'] })
  expect(await report('steered', 'apac')).toMatchObject({ targets: { 'a:80': 'drained' } })
  await evictDurableObject(world('steered'))
  await evictDurableObject(env.BREAKERS.getByName('weur:steered'))
  expect(await world('steered').inspect()).toMatchObject({ forced: 'open', drained: ['a:80'] })
  expect(await report('steered', 'weur')).toMatchObject({ forced: true, targets: { 'a:80': 'drained' } })
  // A region that nobody had heard of learns with its first report.
  await vi.waitFor(async () => expect(await report('steered', 'oc')).toMatchObject({ state: 'open', forced: true }))
  await world('steered').order({ restore: 'a:80' })
  await world('steered').order({ force: null })
  expect(await report('steered', 'weur')).toEqual({ state: 'closed', targets: {} })
})

it('closes by force what is open, counts nothing meanwhile, and a release begins anew', async () => {
  await statesOf('forced')
  for (const region of REGIONS) await fail('forced', region)
  await untilStates('forced', ['open', 'open', 'open'])
  await world('forced').order({ force: 'closed' })
  expect(await fail('forced', 'weur')).toMatchObject({ state: 'closed', forced: true })
  await world('forced').order({ force: null })
  expect(await statesOf('forced')).toEqual(['closed', 'closed', 'closed'])
  expect(await fail('forced', 'weur')).toMatchObject({ state: 'open' })
})

it('comes back from a crash open everywhere, with the leases that are out', async () => {
  await statesOf('crash')
  for (const region of REGIONS) await fail('crash', region)
  await untilStates('crash', ['open', 'open', 'open'])
  await vi.waitFor(async () => expect(await askAll('crash')).toHaveLength(1), { timeout: 1_000 })
  await evictDurableObject(world('crash'))
  expect(await world('crash').inspect()).toMatchObject({ leases: 1, everywhere: { state: 'half-open' } })
  expect(await askAll('crash')).toEqual([])
})

it('lets a region that it lost go on alone, and the others by their own majority', async () => {
  await statesOf('gone')
  for (const region of ['weur', 'enam'] as const) await fail('gone', region)
  await untilStates('gone', ['open', 'open', 'open'])
  // Ten seconds later only one of them reports.
  await runInDurableObject(world('gone'), (instance) => {
    instance.now = () => Date.now() + 10_000
  })
  await vi.waitFor(
    async () => {
      await report('gone', 'apac')
      expect(await world('gone').inspect()).toMatchObject({ everywhere: { state: 'closed' } })
    },
    { timeout: 2_500, interval: 50 },
  )
  expect(await report('gone', 'apac')).toMatchObject({ state: 'closed' })
})

it('answers nothing to a version that it does not speak, and to a report that it cannot read', async () => {
  expect(await world('odd').report(GLOBAL_PROTOCOL + 1, {} as RegionReport)).toBeUndefined()
  expect(await world('odd').report(GLOBAL_PROTOCOL, null as unknown as RegionReport)).toBeUndefined()
})
