import { afterEach, describe, expect, it, vi } from 'vitest'
import { crowd, tally } from '../support/callers.ts'
import { startScene, type Scene, type SceneSetup } from '../support/scene.ts'

let scene: Scene
const begin = async (setup: SceneSetup) => (scene = await startScene(setup))
afterEach(() => scene.stop())

const BREAKER = { circuitBreaker: { minimumRequests: 10, openDuration: '1s', maxOpenDuration: '1s' } }
const opened = () =>
  vi.waitFor(async () => expect((await scene.call('/-/health')).body).toContain('"circuit":"open"'), { timeout: 3_000 })

describe('an origin killed with SIGKILL', () => {
  it('is refused for at once, and asked by one probe when it is back', async () => {
    const { call, origins } = await begin({ upstream: { timeout: '2s', ...BREAKER } })
    const [origin] = origins
    expect(tally(await crowd(5, 20, () => call('/before')))).toEqual({ 200: 20 })
    await origin!.kill()
    expect(Object.keys(tally(await crowd(5, 60, () => call('/dead'))))).toContain('upstream-unreachable')
    await opened()
    const refused = await crowd(5, 50, () => call('/refused'))
    expect(tally(refused)).toEqual({ 'circuit-open': 50 })
    expect(refused.every(({ headers }) => Number(headers['retry-after']) >= 1)).toBe(true)
    const before = origin!.ledger().length
    await origin!.restart()
    const back = Date.now()
    await vi.waitFor(async () => expect((await call('/again')).status).toBe(200), { timeout: 10_000, interval: 50 })
    // The open time and a second, and as much again for a busy machine.
    expect(Date.now() - back).toBeLessThan(4_000)
    expect(origin!.ledger().length - before).toBe(1)
    await vi.waitFor(async () => expect((await call('/after')).status).toBe(200), { timeout: 2_000, interval: 50 })
  })

  it('is not noticed by callers of an upstream with two others and a retry', async () => {
    const { call, origins } = await begin({ origins: 3, upstream: { retry: { budget: { minPerSecond: 100 } } } })
    const calls = crowd(6, 600, async (nth) => {
      if (nth === 100) await origins[0]!.kill()
      return call('/get', { headers: { 'x-id': String(nth) } })
    })
    expect(tally(await calls)).toEqual({ 200: 600 })
    const answered = origins.slice(1).flatMap((origin) => origin.ledger().map(({ id }) => id))
    expect(new Set(answered).size).toBe(answered.length)
    // The dead one may have been given a request that it never answered.
    expect(answered.length).toBeGreaterThan(500)
  })

  it('costs a POST in flight a 502, and no second try anywhere', async () => {
    const { call, origins } = await begin({ origins: 2, upstream: { retry: {} } })
    await Promise.all(origins.map((origin) => origin.behave({ kind: 'hang' })))
    const posts = crowd(10, 10, (nth) =>
      call('/order', { method: 'POST', body: 'x', headers: { 'x-id': String(nth) } }),
    )
    const arrived = () => origins.flatMap((origin) => origin.ledger())
    await vi.waitFor(() => expect(arrived()).toHaveLength(10))
    await Promise.all(origins.map((origin) => origin.kill()))
    expect(tally(await posts)).toEqual({ 'upstream-unreachable': 10 })
    expect(new Set(arrived().map(({ id }) => id)).size).toBe(10)
    expect(arrived()).toHaveLength(10)
  })
})

describe('an origin stopped with SIGSTOP', () => {
  it('is given up for its timeout, then refused for, and found again after SIGCONT', async () => {
    const { call, origins } = await begin({ upstream: { timeout: '300ms', ...BREAKER } })
    const [origin] = origins
    expect((await call('/before')).status).toBe(200)
    origin!.freeze()
    expect(tally(await crowd(20, 20, () => call('/frozen')))).toEqual({ 'upstream-timeout': 20 })
    await opened()
    const refused = await crowd(5, 100, () => call('/refused'))
    // Open for a second at a time: a probe may be due meanwhile, which times out.
    expect(tally(refused)['circuit-open']).toBeGreaterThanOrEqual(97)
    origin!.thaw()
    await vi.waitFor(async () => expect((await call('/thawed')).status).toBe(200), { timeout: 10_000, interval: 50 })
    // What the kernel took in for it while it was stopped is all that it may find; of the refused only probes.
    const targets = origin!.ledger().map(({ target }) => target)
    expect(targets.filter((target) => target === '/frozen').length).toBeLessThanOrEqual(20)
    expect(targets.filter((target) => target === '/refused').length).toBeLessThanOrEqual(3)
  })

  it('is not noticed by callers of an upstream with another target and a per-try timeout', async () => {
    const retry = { perTryTimeout: '300ms', budget: { minPerSecond: 100 } }
    const { call, origins } = await begin({ origins: 2, upstream: { timeout: '5s', retry } })
    origins[0]!.freeze()
    expect(tally(await crowd(10, 100, () => call('/get')))).toEqual({ 200: 100 })
    expect(origins[1]!.ledger()).toHaveLength(100)
  })
})
