import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { cacheRedis } from '../../src/cache/store/cache-redis.ts'
import { makePlatform } from '../../src/env.ts'
import { logEvent, observeObjects } from '../../src/telemetry/events.ts'
import { callObject } from '../../src/core/durable-object.ts'
import type { BreakerReport } from '../../src/upstream/circuit-breaker/breaker-report.ts'
import { BREAKER_PROTOCOL } from '../../src/upstream/circuit-breaker/breaker-report.ts'
import { makeKey, sign } from '../auth/issuer.ts'
import { setupIssuer } from '../auth/gate.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestPlatform, originUrl } from '../support/platform.ts'
import { makeTestUpstream } from '../support/upstream.ts'

const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
const failed = vi.spyOn(console, 'error').mockImplementation(() => {})
afterEach(() => {
  warned.mockClear()
  failed.mockClear()
})

/** The lines since the last call, of which other tests of this isolate may have written some: those of `upstream`, where it is given. */
function lines(upstream?: string): Record<string, unknown>[] {
  const all = warned.mock.calls.map(([text]) => JSON.parse(String(text)) as Record<string, unknown>)
  warned.mockClear()
  return upstream === undefined ? all : all.filter((line) => line['upstream'] === upstream)
}
/** Those of one store. */
const linesOf = (store: string) => lines().filter((line) => line['store'] === store)
const eventsOf = (upstream?: string) => lines(upstream).map(({ event }) => event)

const SETTINGS = {
  failureRate: 50,
  slowCallRate: 100,
  minimumRequests: 5,
  window: 10_000,
  openDuration: 1_000,
  maxOpenDuration: 5_000,
  halfOpenProbes: 1,
}
const NOTHING = { calls: 0, failures: 0, slow: 0 }

/** The breaker object of `upstream` on a clock that the test moves. */
async function makeBreaker(upstream: string) {
  const clock = { now: Date.now() }
  const stub = env.BREAKERS.getByName(`local:${upstream}`)
  await runInDurableObject(stub, (instance) => void (instance.now = () => clock.now))
  await runInDurableObject(
    env.GLOBAL_UPSTREAMS.getByName(upstream),
    (instance) => void (instance.now = () => clock.now),
  )
  const report = (parts: Partial<BreakerReport> = {}) =>
    stub.report(BREAKER_PROTOCOL, {
      upstream,
      region: 'local',
      settings: SETTINGS,
      counters: NOTHING,
      spent: [],
      probes: [],
      wantsLease: false,
      health: undefined,
      ...parts,
    })
  return { stub, clock, report }
}

describe('a breaker', () => {
  it('logs each of its changes once', async () => {
    const { clock, report } = await makeBreaker('changes')
    await report({ counters: { calls: 4, failures: 4, slow: 0 } })
    expect(lines('changes')).toEqual([])
    await report({ counters: { calls: 4, failures: 4, slow: 0 } })
    await report({ counters: { calls: 4, failures: 4, slow: 0 } })
    expect(lines('changes')).toEqual([
      {
        time: new Date(clock.now).toISOString(),
        level: 'warn',
        event: 'breaker-open',
        upstream: 'changes',
        region: 'local',
        forMs: 1_000,
        openings: 1,
      },
    ])
    clock.now += 1_000
    const update = await report({ wantsLease: true })
    await report()
    expect(eventsOf('changes')).toEqual(['breaker-half-open'])
    const { lease } = update as { lease: string }
    await report({ probes: [{ lease, result: 'passed' }] })
    await report()
    expect(eventsOf('changes')).toEqual(['breaker-closed'])
  })

  it('logs what an operator does to it and to its targets', async () => {
    const { report } = await makeBreaker('operated')
    await report()
    const upstream = env.GLOBAL_UPSTREAMS.getByName('operated')
    for (const force of ['open', 'open', null] as const) await upstream.order({ force })
    await upstream.order({ drain: 'a:80' })
    await upstream.order({ drain: 'a:80' })
    await upstream.order({ restore: 'a:80' })
    expect(lines('operated').map(({ event, state, target }) => [event, state ?? target])).toEqual([
      ['breaker-forced', 'open'],
      ['breaker-forced', 'released'],
      ['target-drained', 'a:80'],
      ['target-restored', 'a:80'],
    ])
  })

  it('that all regions share logs for all of them', async () => {
    const upstream = 'everywhere'
    for (const region of ['local', 'weur', 'enam'] as const) {
      const stub = env.BREAKERS.getByName(`${region}:${upstream}`)
      const counters = { calls: 5, failures: 5, slow: 0 }
      const rest = { settings: SETTINGS, spent: [], probes: [], wantsLease: false, health: undefined }
      await stub.report(BREAKER_PROTOCOL, { upstream, region, counters, ...rest })
    }
    await vi.waitFor(() => {
      const all = warned.mock.calls.map(([text]) => JSON.parse(String(text)) as Record<string, unknown>)
      const own = all.filter((line) => line['upstream'] === upstream && line['region'] === 'all')
      expect(own).toMatchObject([{ event: 'breaker-open' }])
    })
  })
})

it('a target that fails its health checks, and passes them again, is logged once each', async () => {
  const { stub, report } = await makeBreaker('checked')
  let isUp = false
  vi.spyOn(globalThis, 'fetch').mockImplementation(async () => {
    await Promise.resolve()
    return new Response(null, { status: isUp ? 200 : 500 })
  })
  const health = {
    targets: { 'a:80': 'http://a/health' },
    interval: 10_000,
    timeout: 1_000,
    unhealthyThreshold: 1,
    healthyThreshold: 1,
  }
  await report({ health })
  await runDurableObjectAlarm(stub)
  await runDurableObjectAlarm(stub)
  expect(lines('checked')).toMatchObject([{ event: 'target-unhealthy', region: 'local', target: 'a:80' }])
  isUp = true
  await runDurableObjectAlarm(stub)
  vi.mocked(fetch).mockRestore()
  expect(eventsOf('checked')).toEqual(['target-healthy'])
})

it('a target that is ejected, and used again, is logged once each', async () => {
  const clock = { now: Date.now() }
  const [bad, good] = [`${originUrl}/status/500`, `${originUrl}/ok`]
  const outlierDetection = { consecutive5xx: 2, baseEjection: '10s', maxEjectionPercent: 50 }
  const { handler } = makeTestUpstream(
    { targets: [{ url: bad }, { url: good }], outlierDetection },
    { name: 'ejecting', now: () => clock.now },
  )
  const send = async (count: number) => {
    for (let nth = 0; nth < count; nth++) await handler(makeTestExchange(undefined, { startedAt: clock.now }))
  }
  await send(10)
  expect(lines('ejecting')).toMatchObject([{ event: 'target-ejected', forMs: 10_000, ejections: 1 }])
  clock.now += 10_001
  await send(2)
  expect(eventsOf('ejecting')).toEqual(['target-returned'])
})

it('the keys of an issuer that is down are logged when they are stale, too old, and fetched again', async () => {
  const key = await makeKey('k1')
  const { issuer, clock, gate } = setupIssuer([key], { jwksMaxAge: '1m', jwksMaxStale: '10m', jwksCooldown: '1s' })
  const call = async (afterMs: number) => {
    clock.now += afterMs
    const token = await sign(key, { exp: 4_102_444_800 })
    await gate(`Bearer ${token}`)
  }
  const ours = () => lines().filter((line) => line['issuer'] === 'https://id.test/')
  await call(0)
  issuer.answer = () => new Response(null, { status: 503 })
  await call(30_000)
  expect(ours()).toEqual([])
  await call(60_000)
  await call(60_000)
  expect(ours()).toMatchObject([{ event: 'jwks-stale', reason: 'status 503', ageMs: 90_000 }])
  await call(600_000)
  await call(60_000)
  expect(ours()).toMatchObject([{ event: 'jwks-unavailable', reason: 'status 503' }])
  issuer.answer = () => Response.json({ keys: issuer.keys })
  await call(60_000)
  await call(60_000)
  expect(ours().map(({ event }) => event)).toEqual(['jwks-fresh'])
})

describe('objects that do not respond', () => {
  it('are logged after three failures in a row, and when they respond again', () => {
    const observe = observeObjects('NonceStore', env.NONCES, undefined, true).observe!
    for (let nth = 0; nth < 9; nth++) observe(true)
    expect(linesOf('NonceStore')).toMatchObject([
      { event: 'store-down', store: 'NonceStore', reason: 'no result in time' },
    ])
    observe(false)
    observe(false)
    expect(linesOf('NonceStore')).toMatchObject([{ event: 'store-back', store: 'NonceStore' }])
    observe(true)
    observe(true)
    observe(false)
    observe(true)
    observe(true)
    expect(linesOf('NonceStore')).toEqual([])
  })

  it('have their errors logged with the stack by the isolate that called', async () => {
    const { nonceStores } = makePlatform(env, {
      auditRetention: { maxAge: 86_400_000, maxRows: 1_000 },
      authProviders: {},
      routes: [],
    })
    const call = () => callObject(nonceStores, 'x', 1_000, () => Promise.reject(new Error('the start of it failed')))
    expect(await call()).toBeUndefined()
    expect(JSON.parse(String(failed.mock.calls[0]![0]))).toMatchObject({
      event: 'object-error',
      object: 'NonceStore',
      method: 'call',
      message: 'the start of it failed',
      stack: expect.stringContaining('events.test.ts') as string,
    })
    expect(linesOf('NonceStore')).toEqual([])
    await call()
    await call()
    expect(linesOf('NonceStore')).toMatchObject([
      { event: 'store-down', store: 'NonceStore', reason: 'the start of it failed' },
    ])
  })
})

it('the Redis of the cache is logged when it does not respond', async () => {
  const values: Record<string, string> = { UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:1' }
  const redis = cacheRedis(makeTestPlatform({ variable: (name) => values[name], secret: () => 'token' }))!
  for (let nth = 0; nth < 5; nth++)
    await redis.ask(
      (client) => client.ping(),
      () => {},
    )
  expect(linesOf('cache-upstash')).toMatchObject([
    { event: 'store-down', store: 'cache-upstash', reason: expect.any(String) as string },
  ])
})

it('nothing is logged where LOG_LEVEL leaves warnings out', () => {
  logEvent('store-down', { store: 'quiet' }, 'error')
  logEvent('store-down', { store: 'quiet' }, 'silent')
  expect(linesOf('quiet')).toEqual([])
})
