import { afterEach, expect, it, vi } from 'vitest'
import { crowd, pace, tally } from '../support/callers.ts'
import { startScene, type Scene, type SceneSetup } from '../support/scene.ts'

let scene: Scene
const begin = async (setup: SceneSetup) => (scene = await startScene(setup))
afterEach(() => scene.stop())

const BREAKER = { minimumRequests: 20, openDuration: '500ms', maxOpenDuration: '500ms' }
const RETRY = { attempts: 3, budget: { percent: 20, window: '10s', minPerSecond: 3 } }
/** What `retry` may add to so many requests in the ten seconds that its budget looks at. */
const mostTries = (requests: number) => requests * 1.2 + 3 * 10

it('does not multiply a burst of 503s, refuses while it lasts, and is through it soon after', async () => {
  const { call, origins } = await begin({ upstream: { circuitBreaker: BREAKER, retry: RETRY } })
  const [origin] = origins
  expect(tally(await crowd(5, 50, () => call('/before')))).toEqual({ 200: 50 })
  await origin!.behave({ kind: 'answer', status: 503 })
  const burst = await pace(100, 2, () => call('/burst'))
  const counts = tally(burst)
  expect(counts['circuit-open']).toBeGreaterThan(0)
  expect((counts['503'] ?? 0) + counts['circuit-open']!).toBe(burst.length)
  const passed = 50 + (counts['503'] ?? 0)
  expect(origin!.ledger().length).toBeLessThanOrEqual(mostTries(passed))
  // Open for half a second at a time and one probe each: most callers never reached it.
  expect(counts['circuit-open']).toBeGreaterThan(burst.length / 3)
  await origin!.behave({ kind: 'answer' })
  await vi.waitFor(async () => expect((await call('/after')).status).toBe(200), { timeout: 5_000, interval: 20 })
  await vi.waitFor(async () => expect(tally(await crowd(5, 20, () => call('/well')))).toEqual({ 200: 20 }), {
    timeout: 3_000,
  })
})

it('passes the origin’s own 503 on when there is neither breaker nor retry', async () => {
  const { call, origins } = await begin({})
  await origins[0]!.behave({ kind: 'answer', status: 503, headers: { 'retry-after': '7' } })
  const answer = await call('/get')
  expect(answer).toMatchObject({ status: 503, code: undefined, isWhole: true })
  expect(answer.headers['retry-after']).toBe('7')
  expect(origins[0]!.ledger()).toHaveLength(1)
})

it('follows an origin that flaps, and ends well', async () => {
  const { call, origins } = await begin({ upstream: { circuitBreaker: BREAKER, retry: RETRY } })
  const [origin] = origins
  const calls = pace(100, 3, (nth) => call('/flap', { headers: { 'x-id': String(nth) } }))
  for (let nth = 0; nth < 6; nth++) {
    await origin!.behave({ kind: 'answer', status: nth % 2 === 0 ? 503 : 200 })
    await new Promise((passed) => setTimeout(passed, 500))
  }
  const answers = await calls
  const entries = origin!.ledger()
  const well = new Set(entries.filter(({ outcome }) => outcome === 200).map(({ id }) => id))
  // Who was answered well at the origin was answered well, and nobody else.
  expect(tally(answers)['200']).toBe(well.size)
  expect(well.size).toBeGreaterThan(0)
  expect(entries.length).toBeLessThanOrEqual(mostTries(answers.length))
  await vi.waitFor(async () => expect((await call('/after')).status).toBe(200), { timeout: 5_000, interval: 20 })
})

it('takes from an origin at 30 % capacity all that it has, and asks for little more', async () => {
  const breaker = { ...BREAKER, failureRate: 95 }
  const { call, origins } = await begin({ upstream: { circuitBreaker: breaker, retry: RETRY } })
  await origins[0]!.behave({ kind: 'capacity', perTenth: 6 })
  const answers = await pace(200, 2, () => call('/get'))
  const counts = tally(answers)
  const entries = origins[0]!.ledger()
  expect(counts['200']).toBe(entries.filter(({ outcome }) => outcome === 200).length)
  // 120 in two seconds; less a wide margin for a machine that does not keep the pace.
  expect(counts['200']).toBeGreaterThan(60)
  expect(counts['200']! + counts['503']!).toBe(400)
  expect(entries.length).toBeLessThanOrEqual(mostTries(400))
})

it('keeps its breaker from opening for one target that fails of three', async () => {
  const { call, origins } = await begin({ origins: 3, upstream: { circuitBreaker: BREAKER, retry: RETRY } })
  await origins[0]!.behave({ kind: 'answer', status: 500 })
  const answers = await crowd(4, 200, () => call('/get'))
  // 500 is no `gateway-error`: it is passed on, a third of the time.
  const counts = tally(answers)
  expect(counts['500']).toBe(origins[0]!.ledger().length)
  expect(counts['200']! + counts['500']!).toBe(200)
})

it('passes over one target of three that keeps failing, with outlier detection', async () => {
  const { call, origins } = await begin({ origins: 3, upstream: { outlierDetection: { consecutive5xx: 5 } } })
  await origins[0]!.behave({ kind: 'answer', status: 500 })
  const counts = tally(await crowd(4, 200, () => call('/get')))
  expect(counts['500']).toBe(origins[0]!.ledger().length)
  // Five, and those that were on their way when the fifth had failed.
  expect(counts['500']).toBeGreaterThanOrEqual(5)
  expect(counts['500']).toBeLessThanOrEqual(5 + 3)
  expect(counts['200']! + counts['500']!).toBe(200)
})
