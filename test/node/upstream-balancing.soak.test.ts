import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startCallers, type Answer } from '../support/callers.ts'
import { http, rawRequest, startFaultOrigin, type FaultOrigin } from '../support/fault-origin.ts'
import { serveUpstream, type ServedUpstream } from '../support/served-upstream.ts'

let origins: FaultOrigin[]
/** The behaviour of the first of three; the others respond at once. */
let first: 'well' | 'slow' | 'failing' | 'resetting'
let gateway: ServedUpstream

beforeEach(async () => {
  first = 'well'
  origins = await Promise.all(
    [0, 1, 2].map((nth) =>
      startFaultOrigin((path, socket) => {
        if (path === '/hang') return
        if (nth > 0 || first === 'well') socket.write(http(200))
        else if (first === 'slow') setTimeout(() => socket.write(http(200)), 1_000)
        else if (first === 'failing') socket.write(http(500))
        else socket.resetAndDestroy()
      }),
    ),
  )
})
afterEach(async () => {
  await gateway.stop()
  await Promise.all(origins.map((origin) => origin.stop()))
})

const serve = async (config: object) => {
  gateway = await serveUpstream({ targets: origins.map(({ url }) => ({ url })), ...config })
}
const received = () => origins.map((origin) => origin.received.length)

/** Requests at a constant rate, whether or not earlier ones have their response (an open loop). */
async function callOpenLoop(count: number, perSecond: number): Promise<Answer[]> {
  const { call, stop } = startCallers(gateway.url)
  const answers: Promise<Answer>[] = []
  const start = performance.now()
  for (let i = 0; i < count; i++) {
    await sleep(Math.max(0, start + (i * 1_000) / perSecond - performance.now()))
    answers.push(call('/x'))
  }
  const all = await Promise.all(answers)
  stop()
  return all
}

describe('one of three targets slow by a second', () => {
  it.each(['least-requests', 'ewma'])('%s keeps away from it', async (loadBalancing) => {
    first = 'slow'
    await serve({ loadBalancing })
    const answers = await callOpenLoop(400, 200)
    expect(answers.every(({ status }) => status === 200)).toBe(true)
    const [slow = 0, ...well] = received()
    // Round-robin would have sent it 133.
    expect(slow).toBeLessThanOrEqual(loadBalancing === 'ewma' ? 12 : 24)
    expect(Math.min(...well)).toBeGreaterThan(120)
    // Only the requests sent to it had to wait.
    expect(answers.filter(({ ms }) => ms > 900).length).toBeLessThanOrEqual(slow)
    expect((await gateway.state()).targets.map(({ inFlight }) => inFlight)).toEqual([0, 0, 0])
  })

  it('is met by every third request in turn', async () => {
    first = 'slow'
    await serve({})
    await callOpenLoop(90, 200)
    expect(received()).toEqual([30, 30, 30])
  })
})

describe('one of three targets failing', () => {
  const outlierDetection = { baseEjection: '2s' }

  it('it is ejected after five tries, and comes back', async () => {
    first = 'failing'
    await serve({ outlierDetection })
    const answers = await callOpenLoop(60, 400)
    const failures = answers.filter(({ status }) => status !== 200).length
    // Some more may have been on their way.
    expect(failures >= 5 && failures <= 10).toBe(true)
    expect((await gateway.state()).targets[0]).toMatchObject({ ejected: { times: 1 } })
    first = 'well'
    const isEjected = async () => (await gateway.state()).targets[0]!.ejected !== undefined
    await vi.waitFor(async () => expect(await isEjected()).toBe(false), { timeout: 4_000, interval: 20 })
    const [before = 0] = received()
    await callOpenLoop(30, 400)
    expect(Math.abs(received()[0]! - before - 10)).toBeLessThanOrEqual(1)
  })

  it('one that loses connections rests between its failures, until it is ejected', async () => {
    first = 'resetting'
    await serve({ retry: null, outlierDetection: { ...outlierDetection, consecutive5xx: 2 } })
    // Longer than the cool-down.
    const answers = await callOpenLoop(140, 100)
    const failures = answers.filter(({ status }) => status === 502).length
    expect(failures >= 2 && failures <= 6).toBe(true)
  })

  it('a retry goes to another', async () => {
    first = 'failing'
    await serve({
      loadBalancing: 'hash',
      hashOn: 'header:x-key',
      // Where the keys fall depends on the origins' ports: all of them may be tried twice, and one of them is sure to be.
      retry: { retryOn: ['5xx'], backoff: { base: '1ms' }, budget: { percent: 100 } },
    })
    const { call, stop } = startCallers(gateway.url)
    const keys = Array.from({ length: 60 }, (_, i) => `key-${i}`)
    const answers = await Promise.all(keys.map((key) => call('/x', { headers: { 'x-key': key } })))
    stop()
    expect(received()[0]).toBeGreaterThan(0)
    expect(answers.map(({ status }) => status)).toEqual(keys.map(() => 200))
  })
})

it.each(['round-robin', 'ewma'])('%s: nothing stays in flight when clients reset', async (loadBalancing) => {
  await serve({ loadBalancing, outlierDetection: {} })
  const resets = Array.from({ length: 60 }, () =>
    rawRequest(gateway.port, 'GET /hang HTTP/1.1\r\nHost: a\r\n\r\n', (socket) => socket.resetAndDestroy(), 1_000),
  )
  const inFlight = async () => (await gateway.state()).targets.map((target) => target.inFlight)
  await vi.waitFor(async () => expect(await inFlight()).toEqual([20, 20, 20]), { timeout: 900, interval: 10 })
  await Promise.all(resets)
  await vi.waitFor(async () => expect(await inFlight()).toEqual([0, 0, 0]), { timeout: 1_000, interval: 20 })
  const { targets } = await gateway.state()
  expect(targets.some(({ ejected }) => ejected !== undefined)).toBe(false)
})
