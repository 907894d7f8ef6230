import { afterEach, expect, it } from 'vitest'
import { crowd, tally } from '../support/callers.ts'
import { startFaultProxy, type FaultProxy, type Faults } from '../support/fault-proxy.ts'
import { startScene, type Scene } from '../support/scene.ts'

let scene: Scene
let proxies: FaultProxy[] = []

/** Each target behind a proxy of its own. */
const begin = async (upstream: Record<string, unknown>, origins = 1) =>
  (scene = await startScene({
    upstream,
    origins,
    targets: async (all) => {
      proxies = await Promise.all(all.map(({ url }) => startFaultProxy(url)))
      return proxies.map(({ url }) => url)
    },
  }))

afterEach(async () => {
  await scene.stop()
  await Promise.all(proxies.map((proxy) => proxy.stop()))
})

const RESET: Faults = { reset: { of: 'answers', afterBytes: 0 } }
const RETRY = { retry: { budget: { minPerSecond: 100 } } }

it('answers 502 when the connection is reset before headers, and sends nothing again', async () => {
  const { call, origins } = await begin({ retry: null })
  proxies[0]!.set(RESET)
  expect(tally(await crowd(4, 12, () => call('/get')))).toEqual({ 'upstream-unreachable': 12 })
  expect(origins[0]!.ledger()).toHaveLength(12)
})

it('repeats a GET whose connection is reset before headers, on the other target; a POST never', async () => {
  const { call, origins } = await begin(RETRY, 2)
  proxies[0]!.set(RESET)
  expect(tally(await crowd(4, 20, () => call('/get')))).toEqual({ 200: 20 })
  const [first, second] = origins.map((origin) => origin.ledger())
  expect(first!.every(({ attempt }) => attempt === '1')).toBe(true)
  expect(second!.filter(({ attempt }) => attempt === '2')).toHaveLength(first!.length)
  expect(first!.length).toBeGreaterThan(0)
  expect(second).toHaveLength(20)

  const id = { headers: { 'x-id': 'post' } }
  proxies[1]!.set(RESET)
  expect(await call('/post', { method: 'POST', body: 'x', ...id })).toMatchObject({ code: 'upstream-unreachable' })
  const posts = origins.flatMap((origin) => origin.ledger()).filter((entry) => entry.id === 'post')
  expect(posts).toHaveLength(1)
})

it('breaks off an answer that is reset after its headers, and never sends it again', async () => {
  const { call, origins } = await begin(RETRY, 2)
  await Promise.all(origins.map((origin) => origin.behave({ kind: 'reset', after: 'headers' })))
  const answers = await crowd(4, 8, () => call('/get'))
  expect(answers.every(({ status, isWhole, body }) => status === 200 && !isWhole && body.length <= 20)).toBe(true)
  expect(origins.flatMap((origin) => origin.ledger())).toHaveLength(8)
})

it('lets a slow trickle pass whole, unless it pauses for longer than idleTimeout', async () => {
  const { call, origins } = await begin({ timeout: '5s', idleTimeout: '2s' })
  await origins[0]!.behave({ kind: 'trickle', pieces: 8, pauseMs: 50 })
  expect(await call('/steady')).toMatchObject({ status: 200, isWhole: true })
  await origins[0]!.behave({ kind: 'trickle', pieces: 2, pauseMs: 20_000 })
  const cut = await call('/stalled')
  expect(cut).toMatchObject({ status: 200, isWhole: false })
  expect(cut.ms).toBeLessThan(15_000)
  expect(origins[0]!.ledger()).toHaveLength(2)
})

it('gives up on headers that trickle in for longer than the timeout', async () => {
  const { call, origins } = await begin({ timeout: '500ms' })
  proxies[0]!.set({ slicer: { bytes: 1, pauseMs: 50 } })
  expect(await call('/head')).toMatchObject({ status: 504, code: 'upstream-timeout' })
  expect(origins[0]!.ledger()).toHaveLength(1)
})

it('gives up on an origin that hangs before headers: 504 alone, and the other target with a per-try timeout', async () => {
  const { call, origins } = await begin({ timeout: '300ms' })
  await origins[0]!.behave({ kind: 'hang' })
  expect(tally(await crowd(10, 10, () => call('/hang')))).toEqual({ 'upstream-timeout': 10 })
  expect(origins[0]!.ledger()).toHaveLength(10)
  await scene.stop()
  const retry = { perTryTimeout: '300ms', budget: { minPerSecond: 100 } }
  await begin({ timeout: '10s', retry }, 2)
  proxies[0]!.set({ timeout: true })
  expect(tally(await crowd(10, 40, () => scene.call('/hang')))).toEqual({ 200: 40 })
  // The proxy forwarded nothing: all that arrived anywhere is what was answered.
  expect(scene.origins.map((origin) => origin.ledger().length)).toEqual([0, 40])
})

it('recovers by itself when connections are refused for a while', async () => {
  const { call, origins } = await begin({})
  expect((await call('/before')).status).toBe(200)
  await proxies[0]!.down()
  expect(tally(await crowd(4, 8, () => call('/down')))).toEqual({ 'upstream-unreachable': 8 })
  await proxies[0]!.up()
  expect(tally(await crowd(4, 8, () => call('/after')))).toEqual({ 200: 8 })
  expect(origins[0]!.ledger()).toHaveLength(9)
})

it('carries answers whole over a network that is slow, uneven and narrow', async () => {
  const { call, origins } = await begin({ timeout: '10s' })
  proxies[0]!.set({ latencyMs: 20, jitterMs: 40, bytesPerSecond: 2_000, slicer: { bytes: 7, pauseMs: 1 } })
  const answers = await crowd(10, 20, () => call('/get'))
  expect(tally(answers)).toEqual({ 200: 20 })
  expect(answers.every(({ isWhole, body }) => isWhole && body.length === 41)).toBe(true)
  expect(origins[0]!.ledger()).toHaveLength(20)
})
