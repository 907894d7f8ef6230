import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import type { Region } from '../../../src/core/region.ts'
import type { GlobalUpdate } from '../../../src/upstream/circuit-breaker/api.ts'
import { BREAKER_PROTOCOL, type BreakerReport } from '../../../src/upstream/circuit-breaker/breaker-report.ts'

const settings = {
  failureRate: 50,
  slowCallRate: 100,
  minimumRequests: 10,
  window: 10_000,
  openDuration: 100,
  maxOpenDuration: 400,
  halfOpenProbes: 1,
}
const counters = (calls = 0, failures = 0) => ({ calls, failures, slow: 0 })
const QUIET: Omit<BreakerReport, 'upstream'> = {
  region: 'weur',
  settings,
  counters: counters(),
  spent: [],
  probes: [],
  wantsLease: false,
  health: undefined,
}
const object = (upstream: string) => env.BREAKERS.getByName(`weur:${upstream}`)
const report = (upstream: string, part: Partial<BreakerReport> = {}) =>
  object(upstream).report(BREAKER_PROTOCOL, { ...QUIET, upstream, ...part })
/** Stops the clock of an upstream's objects; the result moves it on by `ms`. */
async function stopClock(upstream: string, region: Region = 'weur') {
  let now = Date.now()
  const stopped = (instance: { now: () => number }) => {
    instance.now = () => now
  }
  await runInDurableObject(env.BREAKERS.getByName(`${region}:${upstream}`), stopped)
  await runInDurableObject(env.GLOBAL_UPSTREAMS.getByName(upstream), stopped)
  return (ms: number) => (now += ms)
}
const untilOver = () => new Promise((over) => setTimeout(over, 110))
const CLOSED = { state: 'closed', targets: {} }

describe('an upstream’s circuit in one region', () => {
  it('is closed at first', async () => {
    expect(await report('fresh')).toEqual(CLOSED)
  })

  it('opens on what isolates report together, for a duration and not until a time', async () => {
    await stopClock('sum')
    expect(await report('sum', { counters: counters(6, 3) })).toEqual(CLOSED)
    const update = await report('sum', { counters: counters(4, 2) })
    expect(update).toEqual({ state: 'open', forMs: 100, targets: {} })
    expect(await object('sum').inspect()).toMatchObject({ own: { state: 'open', openings: 1 }, timesAlone: 0 })
  })

  it('is still open after its process was lost', async () => {
    const long = { ...settings, openDuration: 60_000, maxOpenDuration: 60_000 }
    await report('lost', { settings: long, counters: counters(10, 10) })
    await evictDurableObject(object('lost'))
    const update = await report('lost')
    expect(update).toMatchObject({ state: 'open' })
    expect((update as { forMs: number }).forMs).toBeLessThanOrEqual(400)
  })

  it('gives one lease at a time, and closes when its probe passes', async () => {
    await report('probe', { counters: counters(10, 10) })
    expect(await report('probe', { wantsLease: true })).not.toHaveProperty('lease')
    await untilOver()
    const [first, second] = await Promise.all([
      report('probe', { wantsLease: true }),
      report('probe', { wantsLease: true }),
    ])
    expect(first).toMatchObject({ state: 'open', forMs: 0, lease: expect.any(String) as string })
    expect(second).toEqual({ state: 'open', forMs: 0, targets: {} })
    expect((await env.GLOBAL_UPSTREAMS.getByName('probe').inspect()).leases).toBe(1)
    const { lease } = first as { lease: string }
    expect(await report('probe', { probes: [{ lease, result: 'passed' }] })).toEqual(CLOSED)
    expect((await env.GLOBAL_UPSTREAMS.getByName('probe').inspect()).leases).toBe(0)
    await evictDurableObject(object('probe'))
    expect(await report('probe')).toEqual(CLOSED)
  })

  it('opens for longer when the probe fails', async () => {
    const wait = await stopClock('fail')
    await report('fail', { counters: counters(10, 10) })
    wait(100)
    const { lease } = (await report('fail', { wantsLease: true })) as { lease: string }
    expect(await report('fail', { probes: [{ lease, result: 'failed' }] })).toMatchObject({ state: 'open', forMs: 200 })
  })

  it('gives a lease that nobody spends to another after two seconds', async () => {
    await report('idle', { counters: counters(10, 10) })
    await untilOver()
    await report('idle', { wantsLease: true })
    const asked = Date.now()
    await vi.waitFor(async () => expect(await report('idle', { wantsLease: true })).toHaveProperty('lease'), {
      timeout: 3_000,
      interval: 50,
    })
    expect(Date.now() - asked).toBeGreaterThanOrEqual(1_900)
  })

  it('has no circuit for an upstream without a breaker, whatever is forced', async () => {
    await report('bare', { settings: undefined, counters: counters(100, 100) })
    await env.GLOBAL_UPSTREAMS.getByName('bare').order({ force: 'open' })
    expect(await report('bare', { settings: undefined, wantsLease: true })).toEqual(CLOSED)
  })
})

describe('the protocol', () => {
  it('answers nothing to a version that it does not speak, and to a report that it cannot read', async () => {
    expect(await object('odd').report(BREAKER_PROTOCOL + 1, { ...QUIET, upstream: 'odd' })).toBeUndefined()
    expect(await object('odd').report(BREAKER_PROTOCOL, null as unknown as BreakerReport)).toBeUndefined()
    expect(await object('odd').receive(0, { rev: 1, forced: 'open', drained: [], closing: 0 })).toBe(false)
    expect(await object('odd').receive(1, null as unknown as GlobalUpdate)).toBe(false)
  })

  it('counts nothing of a report in a protocol version that it does not know', async () => {
    const wait = await stopClock('newer')
    const failing = { ...QUIET, upstream: 'newer', counters: counters(10, 10) }
    expect(await object('newer').report(BREAKER_PROTOCOL + 1, failing)).toBeUndefined()
    wait(1)
    expect(await object('newer').report(BREAKER_PROTOCOL, { ...QUIET, upstream: 'newer' })).toMatchObject({
      state: 'closed',
    })
    expect(await object('newer').inspect()).toMatchObject({ counted: { calls: 0 } })
  })
})

describe('while the world’s object is out of reach', () => {
  /** Lets the region's object call a global state that hangs until the returned function is called. */
  async function withHangingGlobalState(upstream: string) {
    let hangs = true
    await runInDurableObject(object(upstream), (breaker) => {
      const { GLOBAL_UPSTREAMS } = breaker['env']
      const getByName = (name: string) =>
        hangs ? { report: () => new Promise(() => {}) } : GLOBAL_UPSTREAMS.getByName(name)
      breaker['env'] = { ...breaker['env'], GLOBAL_UPSTREAMS: { getByName } as unknown as typeof GLOBAL_UPSTREAMS }
    })
    return () => (hangs = false)
  }

  it('answers reports at once and decides alone, which can be seen, until it is there again', async () => {
    const restore = await withHangingGlobalState('cut')
    const started = Date.now()
    await report('cut', { counters: counters(10, 10) })
    await untilOver()
    // It waits only for a lease, and only the first time.
    expect(Date.now() - started).toBeLessThan(300)
    const { lease } = (await report('cut', { wantsLease: true })) as { lease: string }
    expect(lease).toBeDefined()
    expect(await object('cut').inspect()).toMatchObject({ alone: true })
    expect((await object('cut').inspect()).timesAlone).toBeGreaterThan(0)
    const asked = Date.now()
    expect(await report('cut', { wantsLease: true })).not.toHaveProperty('lease')
    expect(await report('cut', { probes: [{ lease, result: 'passed' }] })).toEqual(CLOSED)
    expect(Date.now() - asked).toBeLessThan(200)
    restore()
    await vi.waitFor(
      async () => {
        await report('cut')
        expect(await object('cut').inspect()).toMatchObject({ alone: false })
      },
      { timeout: 2_500, interval: 50 },
    )
  })
})
