import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { crowd, startCallers, tally } from '../support/callers.ts'
import { http, rawRequest, startFaultOrigin, type FaultOrigin } from '../support/fault-origin.ts'
import { serveUpstream, type ServedUpstream } from '../support/served-upstream.ts'

let hanging: FaultOrigin
let quick: FaultOrigin
let gateway: ServedUpstream

beforeEach(async () => {
  hanging = await startFaultOrigin((path, socket) => void (path !== '/hang' && socket.write(http(200))))
  quick = await startFaultOrigin((_, socket) => socket.write(http(200)))
})
afterEach(async () => {
  await gateway.stop()
  await hanging.stop()
  await quick.stop()
})

const budget = { minPerSecond: 1_000 }
const idle = () =>
  vi.waitFor(async () => expect(await gateway.state()).toMatchObject({ inFlight: 0, waiting: 0 }), {
    timeout: 3_000,
    interval: 20,
  })

it('refuses what is too much, and has room again when the clients that waited reset, retries and hedges included', async () => {
  const upstream = { maxConcurrent: 40, retry: { budget, perTryTimeout: '700ms' }, hedge: { after: '100ms', max: 2 } }
  gateway = await serveUpstream({ targets: [{ url: hanging.url }], timeout: '30s', ...upstream })
  const { call, stop } = startCallers(gateway.url)
  for (const ms of [10, 150, 800]) {
    const reset = () =>
      rawRequest(gateway.port, 'GET /hang HTTP/1.1\r\nHost: a\r\n\r\n', (socket) => socket.resetAndDestroy(), ms + 300)
    const resets = Array.from({ length: 40 }, reset)
    await vi.waitFor(async () => expect((await gateway.state()).waiting).toBe(40), { timeout: 3_000, interval: 5 })
    const refused = crowd(5, 20, () => call('/ok')).then((answers) =>
      expect(tally(answers)).toEqual({ overloaded: 20 }),
    )
    await Promise.all([refused, ...resets])
    await idle()
    expect((await call('/ok')).status).toBe(200)
  }
  await vi.waitFor(() => expect(hanging.open()).toBeLessThanOrEqual(1), { interval: 20 })
  stop()
})

it('closes the connection of a try that another has overtaken', async () => {
  const targets = [{ url: hanging.url }, { url: quick.url }]
  gateway = await serveUpstream({ targets, retry: { budget }, hedge: { after: '30ms' }, timeout: '30s' })
  const { call, stop } = startCallers(gateway.url)
  expect(tally(await crowd(20, 200, () => call('/hang')))).toEqual({ 200: 200 })
  // About half of them were sent to the one that hangs, and each of those to the other as well.
  expect(quick.received).toHaveLength(200)
  expect(hanging.received.length).toBeGreaterThan(50)
  await idle()
  await vi.waitFor(() => expect(hanging.open()).toBe(0), { interval: 20 })
  stop()
})
