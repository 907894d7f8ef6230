import { afterEach, expect, it, vi } from 'vitest'
import type { Decision } from '../../src/limits/key.ts'
import { makeLimited, makePatientPlatform, type RawLimiter } from '../support/limits.ts'

const ID = '0af7651916cd43dd8448eb211c80319c'
const NOW = 1_700_000_000_000
const perIp: RawLimiter = {
  name: 'per-ip',
  algorithm: 'fixed-window',
  limit: 1,
  window: '60s',
  key: ['client.ip'],
  consistency: 'local',
}

const written = vi.spyOn(console, 'log').mockImplementation(() => {})
afterEach(() => written.mockClear())
const lines = () => written.mock.calls.map(([line]) => JSON.parse(line as string) as Decision)

const variables = (more: Record<string, string> = {}) => ({
  variable: (name: string) => ({ UMBRAL_LIMIT_LOG: 'on', ...more })[name],
})

/** A store that refuses every connection. */
const dead = {
  ...variables({ UPSTASH_REDIS_REST_URL: 'http://127.0.0.1:1' }),
  secret: () => 'token',
}

it('has a line for each decision, with the id of the request and no word of who asked', async () => {
  const platform = makePatientPlatform({ ...variables(), now: () => NOW })
  const ask = makeLimited([perIp, { ...perIp, name: 'watching', limit: 9, mode: 'shadow' }], platform)
  await ask()
  await ask()
  const base = { event: 'limit', at: NOW, id: ID, cost: 1, key: expect.stringMatching(/^[0-9a-f]{64}$/) as string }
  const own = { ...base, limiter: 'per-ip', policy: '"per-ip";q=1;w=60', consistency: 'local' }
  expect(lines()).toEqual([
    { ...own, outcome: 'admitted' },
    {
      ...base,
      limiter: 'watching',
      policy: '"watching";q=9;w=60',
      consistency: 'local',
      outcome: 'admitted',
      shadow: true,
    },
    { ...own, outcome: 'refused' },
  ])
  expect(JSON.stringify(lines())).not.toContain('192.0.2.1')
})

it.each([undefined, '', 'off', '0'])('is not written with UMBRAL_LIMIT_LOG %j', async (setting) => {
  const ask = makeLimited(
    [perIp],
    makePatientPlatform({ variable: (name) => (name === 'UMBRAL_LIMIT_LOG' ? setting : undefined) }),
  )
  await ask()
  expect(lines()).toEqual([])
})

it('is at the time of the store, and the same key wherever it is counted', async () => {
  const name = crypto.randomUUID()
  const strict: RawLimiter = { ...perIp, name, consistency: 'strict', onStoreError: 'deny' }
  const before = Date.now()
  for (const now of [() => NOW, () => 2 * NOW])
    await makeLimited([strict], makePatientPlatform({ ...variables(), now }))()
  expect(lines()).toMatchObject([{ outcome: 'admitted' }, { outcome: 'refused' }])
  expect(new Set(lines().map(({ key }) => key)).size).toBe(1)
  for (const { at } of lines()) expect(Math.abs(at - before)).toBeLessThan(10_000)
})

it.each([
  ['allow', ['admitted', 'admitted']],
  ['local', ['admitted', 'refused']],
  ['deny', ['unanswered', 'unanswered']],
] as const)('says that nobody has counted when the store is down: %s', async (onStoreError, outcomes) => {
  const warned = vi.spyOn(console, 'warn').mockImplementation(() => {})
  const limiter: RawLimiter = { ...perIp, name: `dead-${onStoreError}`, consistency: 'strict', onStoreError }
  const ask = makeLimited([limiter], makePatientPlatform(dead))
  await ask()
  await ask()
  expect(lines()).toMatchObject(outcomes.map((outcome) => ({ outcome, blind: true })))
  await ask()
  const told = warned.mock.calls.map(([line]) => JSON.parse(line as string) as { event: string })
  warned.mockRestore()
  // The line is written when the third call has failed, before that request is decided.
  const blind = outcomes.filter((outcome) => outcome === 'admitted').length
  const limiters = { [limiter.name]: expect.objectContaining({ storeFailures: 2, blind }) as unknown }
  expect(told.filter(({ event }) => event.startsWith('store-'))).toEqual([
    {
      time: expect.any(String) as string,
      level: 'warn',
      event: 'store-down',
      store: 'limits-upstash',
      reason: expect.any(String) as string,
      overflows: 0,
      limiters,
    },
  ])
})

it('has a further line for what the answer has cost', async () => {
  const limiter: RawLimiter = { ...perIp, limit: 9, cost: { responseHeader: 'x-cost', max: 5 } }
  const origin = () => Promise.resolve(new Response('ok', { headers: { 'x-cost': '4' } }))
  await makeLimited([limiter], makePatientPlatform(variables()), origin)()
  expect(lines()).toMatchObject([
    { outcome: 'admitted', cost: 1, id: ID },
    { outcome: 'charged', cost: 3, id: ID },
  ])
})

it('says until when what was taken ahead could be spent', async () => {
  const leased: RawLimiter = {
    ...perIp,
    name: crypto.randomUUID(),
    limit: 10_000,
    window: '31d',
    consistency: 'leased',
  }
  // In an isolate in which no time passes, every key is hot.
  const ask = makeLimited([leased], makePatientPlatform({ ...variables(), now: () => NOW }))
  for (let i = 0; i < 60; i++) await ask()
  const spent = lines().filter(({ leaseUntil }) => leaseUntil !== undefined)
  expect(spent.length).toBeGreaterThan(0)
  for (const { at, leaseUntil } of spent) {
    expect(leaseUntil).toBeGreaterThan(at)
    expect(leaseUntil! - at).toBeLessThanOrEqual(1_000)
  }
})
