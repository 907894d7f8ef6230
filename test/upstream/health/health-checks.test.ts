import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, it, vi } from 'vitest'
import { makeHealthChecks, type HealthChecks } from '../../../src/upstream/health/health-checks.ts'
import type { HealthSettings } from '../../../src/upstream/health/health.ts'
import { originUrl } from '../../support/platform.ts'

const MINUTE = 60_000
const settings: HealthSettings = {
  targets: { a: `${originUrl}/a` },
  interval: MINUTE,
  timeout: 300,
  unhealthyThreshold: 1,
  healthyThreshold: 1,
}
const targets = (...labels: string[]) => Object.fromEntries(labels.map((label) => [label, `${originUrl}/${label}`]))

/** The checks inside a real object, over the real network; the test sets what each target does and moves their clock. */
async function scene(name: string) {
  const stub = env.BREAKERS.getByName(`local:health-${name}`)
  const now = { offset: 0 }
  /** The path that is fetched instead, by the label of the target: `/status/500` and such. */
  const does: Record<string, string> = {}
  const asked: string[] = []
  const told: string[] = []
  /** The calls that reported an error. */
  const failed: string[] = []
  /** The changes of a target's health. */
  const changed: string[] = []
  const open = { now: 0, most: 0 }
  let checks: HealthChecks
  const fetchIt = async (url: string, init?: RequestInit) => {
    const { pathname } = new URL(url)
    asked.push(pathname.slice(1))
    open.most = Math.max(open.most, ++open.now)
    try {
      const response = await fetch(url.replace(pathname, does[pathname.slice(1)] ?? pathname), init)
      told.push(await response.clone().text())
      return response
    } finally {
      open.now--
    }
  }
  const parts = { now: () => Date.now() + now.offset, random: Math.random, fetch: fetchIt }
  const start = () =>
    runInDurableObject(stub, (instance, state) => {
      checks = makeHealthChecks(state.storage, parts, {
        onError: (method) => void failed.push(method),
        onChange: (label, health) => void changed.push(`${label} ${health.state}`),
      })
      Object.assign(instance, { alarm: checks.alarm })
    })
  await start()
  return {
    now,
    does,
    asked,
    told,
    failed,
    changed,
    open,
    configure: (part: Partial<HealthSettings> = {}) =>
      runInDurableObject(stub, () => checks.configure({ ...settings, ...part })),
    /** What the alarm does by itself, when it is due at once. */
    rounds: (n: number, timeout = 2_000) =>
      vi.waitFor(() => expect([asked.length, open.now]).toEqual([n, 0]), { interval: 10, timeout }),
    round: () => runDurableObjectAlarm(stub),
    unhealthy: () => checks.unhealthy(),
    inspect: () => checks.inspect(),
    /** Milliseconds, by their clock; NaN when no alarm is set. */
    dueIn: () => runInDurableObject(stub, async (_, { storage }) => ((await storage.getAlarm()) ?? NaN) - parts.now()),
    restart: async () => {
      await evictDurableObject(stub)
      await start()
    },
    with: (act: (checks: HealthChecks, storage: DurableObjectStorage) => unknown) =>
      runInDurableObject(stub, (_, { storage }) => act(checks, storage)),
  }
}

it('asks at once, says who asks, and asks again after the interval', async () => {
  const it = await scene('first')
  await it.configure()
  await it.rounds(1)
  const { method, headers } = JSON.parse(it.told[0]!) as { method: string; headers: string[] }
  expect(method).toBe('GET')
  expect(headers[headers.findIndex((name) => name.toLowerCase() === 'user-agent') + 1]).toBe('umbral health check')
  expect(it.unhealthy()).toEqual([])
  expect(await it.dueIn()).toBeGreaterThan(0.8 * MINUTE - 2_000)
  expect(await it.dueIn()).toBeLessThanOrEqual(MINUTE)
})

it('takes 2xx alone for healthy, and knows why a target is not', async () => {
  const it = await scene('answers')
  const labels = ['ok', 'empty', 'moved', 'missing', 'failing', 'reset', 'slow']
  Object.assign(it.does, {
    empty: '/status/204',
    moved: '/status/302',
    missing: '/status/404',
    failing: '/status/503',
    reset: '/reset',
    slow: '/delay/20000',
  })
  await it.configure({ targets: { ...targets(...labels), dead: 'http://127.0.0.1:1' }, timeout: 600 })
  await it.rounds(8)
  await vi.waitFor(() => expect(it.unhealthy()).toHaveLength(6))
  const faults = Object.entries(it.inspect()).map(([label, health]) => [label, 'fault' in health && health.fault])
  expect(Object.fromEntries(faults)).toEqual({
    ok: false,
    empty: false,
    moved: 'status 302',
    missing: 'status 404',
    failing: 'status 503',
    reset: 'unreachable',
    slow: 'timeout',
    dead: 'unreachable',
  })
})

it('comes back from a lost process with what it knew, counts included', async () => {
  const it = await scene('lost')
  it.does.a = '/status/500'
  await it.configure({ unhealthyThreshold: 2, healthyThreshold: 2 })
  await it.rounds(1)
  expect(it.unhealthy()).toEqual([])
  await it.restart()
  await it.round()
  expect(it.unhealthy()).toEqual(['a'])
  await it.restart()
  expect(it.unhealthy()).toEqual(['a'])
  it.does.a = '/status/200'
  await it.round()
  await it.restart()
  expect(it.unhealthy()).toEqual(['a'])
  await it.round()
  expect(it.unhealthy()).toEqual([])
  // Without a report since it came back.
  expect(await it.dueIn()).toBeGreaterThan(0)
})

it('writes nothing while nothing changes', async () => {
  const it = await scene('quiet')
  await it.configure()
  await it.rounds(1)
  const due = await it.dueIn()
  await it.with((checks, storage) => {
    const put = vi.spyOn(storage.kv, 'put')
    for (let i = 0; i < 100; i++) checks.configure(settings)
    expect(put).not.toHaveBeenCalled()
  })
  expect(Math.abs((await it.dueIn()) - due)).toBeLessThan(1_000)
})

it('goes by new settings at once, but not more than once a second', async () => {
  const it = await scene('news')
  await it.configure({ targets: targets('a', 'b') })
  await it.rounds(2)
  await it.configure({ targets: targets('b', 'c'), interval: 2 * MINUTE })
  await it.configure({ targets: targets('b', 'a') })
  await it.configure({ targets: targets('b', 'c'), interval: 2 * MINUTE })
  expect(await it.dueIn()).toBeGreaterThan(500)
  await vi.waitFor(() => expect(it.asked).toEqual(['a', 'b', 'b', 'c']), { timeout: 1_500, interval: 20 })
  expect(await it.dueIn()).toBeGreaterThan(MINUTE)
})

it('forgets a target that is removed', async () => {
  const it = await scene('gone')
  it.does.a = it.does.b = '/status/500'
  await it.configure({ targets: targets('a', 'b') })
  await it.rounds(2)
  expect(it.unhealthy()).toEqual(['a', 'b'])
  await it.configure({ targets: targets('b') })
  expect(it.unhealthy()).toEqual(['b'])
  await it.configure({ targets: targets('a', 'b') })
  expect(it.unhealthy()).toEqual(['b'])
})

it('learns nothing from the answer of a target that was removed or moved meanwhile', async () => {
  const it = await scene('meanwhile')
  it.does.a = it.does.b = '/delay/20000'
  await it.configure({ targets: targets('a', 'b') })
  await vi.waitFor(() => expect(it.open.now).toBe(2), { interval: 10 })
  it.does.elsewhere = '/status/200'
  await it.configure({ targets: { b: `${originUrl}/elsewhere` } })
  await vi.waitFor(() => expect(it.open.now).toBe(0), { interval: 10 })
  expect(it.inspect()).toEqual({ b: { state: 'healthy', failures: 0 } })
})

it('asks at most six at once, each with its own time', async () => {
  const it = await scene('many')
  const labels = Array.from({ length: 14 }, (_, i) => `t${i}`)
  for (const label of labels) it.does[label] = '/delay/400'
  await it.configure({ targets: targets(...labels), timeout: 1_000 })
  await it.rounds(14, 3_000)
  expect(it.open.most).toBe(6)
  // The last answered after 1,200 ms.
  expect(it.unhealthy()).toEqual([])
})

it('stops when no isolate has reported for a minute or three intervals, and begins again at once', async () => {
  const it = await scene('unused')
  await it.configure({ interval: 30_000 })
  await it.rounds(1)
  it.now.offset = 80_000
  expect(await it.round()).toBe(true)
  await it.rounds(2)
  it.now.offset = 90_001
  expect(await it.round()).toBe(true)
  expect(it.asked).toHaveLength(2)
  expect(await it.dueIn()).toBeNaN()
  await it.configure({ interval: 30_000 })
  expect(await it.dueIn()).toBeLessThanOrEqual(0)
})

it('goes on for as long as isolates report', async () => {
  const it = await scene('used')
  await it.configure()
  await it.rounds(1)
  for (let i = 1; i <= 5; i++) {
    it.now.offset = i * MINUTE
    await it.round()
    await it.configure()
    await it.restart()
  }
  expect(it.asked).toHaveLength(6)
})

it('sets an alarm anew that was lost, or is far off since the clock was put back', async () => {
  const it = await scene('clock')
  await it.configure()
  await it.rounds(1)
  await it.with((_, storage) => storage.deleteAlarm())
  it.now.offset = 60 * MINUTE
  await it.configure()
  expect(await it.dueIn()).toBeLessThanOrEqual(0)
  await it.round()
  it.now.offset = 0
  await it.configure()
  await it.rounds(3)
})

it('never throws, and reports each error: not without settings, not on settings it cannot read, not when its storage fails', async () => {
  const it = await scene('throws')
  await it.with(async (checks, storage) => {
    checks.configure(undefined)
    await checks.alarm()
    checks.configure({} as HealthSettings)
    vi.spyOn(storage.kv, 'put').mockImplementation(() => {
      throw new Error('disk full')
    })
    checks.configure(settings)
    await checks.alarm()
    vi.restoreAllMocks()
    checks.configure(settings)
  })
  expect(it.failed).toEqual(['configure', 'configure'])
  await it.rounds(1)
})
