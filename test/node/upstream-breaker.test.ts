import type { Socket } from 'node:net'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { GlobalStateView } from '../../src/upstream/circuit-breaker/api.ts'
import { http, rawRequest, startFaultOrigin, type FaultOrigin } from '../support/fault-origin.ts'
import { serveUpstream, type ServedUpstream } from '../support/served-upstream.ts'

let origin: FaultOrigin
let gateway: ServedUpstream
let mode: 'down' | 'up' | 'hang'

beforeEach(async () => {
  mode = 'down'
  origin = await startFaultOrigin((_, socket) => {
    if (mode !== 'hang') socket.write(http(mode === 'down' ? 500 : 200))
  })
  gateway = await serveUpstream({
    targets: [{ url: origin.url }],
    timeout: '20s',
    circuitBreaker: { minimumRequests: 5, openDuration: '2s', maxOpenDuration: '4s' },
  })
})
afterEach(async () => {
  await gateway.stop()
  await origin.stop()
})

const get = async () => {
  const response = await fetch(`${gateway.url}/x`)
  await response.text()
  return response
}
const open = async () => {
  for (let i = 0; i < 5; i++) await get()
  expect((await gateway.state()).condition).toBe('open')
  // The object of the region opens by the isolate's report; an order that changes nothing returns what the region has reported in turn.
  const regions = async () => ((await gateway.steer({ restore: 'none:1' })) as GlobalStateView).regions
  await vi.waitFor(async () => expect(await regions()).toMatchObject([{ state: 'open' }]), {
    timeout: 1_500,
    interval: 20,
  })
}

it('comes back open when its process was killed', async () => {
  await open()
  gateway = await gateway.crash()
  await get()
  await vi.waitFor(async () => expect((await gateway.state()).condition).toBe('open'), { timeout: 500, interval: 10 })
  expect((await get()).headers.get('retry-after')).toMatch(/^[12]$/)
})

it('is still forced and drained when its process was killed', async () => {
  mode = 'up'
  await get()
  await gateway.steer({ force: 'open' })
  expect(await gateway.steer({ drain: 'a:80' })).toMatchObject({ forced: 'open', drained: ['a:80'] })
  gateway = await gateway.crash()
  await get()
  await vi.waitFor(async () => expect((await gateway.state()).condition).toBe('open'), { timeout: 500, interval: 10 })
  expect(await gateway.steer({ force: null })).toMatchObject({ forced: null, drained: ['a:80'] })
  await vi.waitFor(async () => expect((await get()).status).toBe(200), { timeout: 2_000, interval: 50 })
})

it('gives the probe’s lease back when its client resets, and nothing stays in flight', async () => {
  await open()
  mode = 'hang'
  const before = origin.received.length
  // Refused ones ask for the lease; one that then hangs holds it.
  await vi.waitFor(
    async () => {
      await rawRequest(gateway.port, 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n', (socket) => socket.resetAndDestroy(), 60)
      expect(origin.received.length).toBe(before + 1)
    },
    { timeout: 4_000, interval: 20 },
  )
  await vi.waitFor(async () => expect((await gateway.state()).inFlight).toBe(0), { timeout: 500, interval: 10 })
  mode = 'up'
  const since = Date.now()
  await vi.waitFor(async () => expect((await get()).status).toBe(200), { timeout: 3_000, interval: 50 })
  // Sooner than the 20 s that the lost request might have taken.
  expect(Date.now() - since).toBeLessThan(1_500)
})

const UPLOAD = 'POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'

it.each([
  ['breaks off its upload', (socket: Socket) => void socket.end()],
  ['garbles its upload', (socket: Socket) => void socket.write('ZZZ\r\n')],
])('does not blame the upstream for a client that %s', async (_, then) => {
  mode = 'hang'
  await Promise.all(Array.from({ length: 10 }, () => rawRequest(gateway.port, UPLOAD, then)))
  await settledOk()
})

it('blames the upstream for a timeout only when it was given the whole request', async () => {
  mode = 'hang'
  const circuitBreaker = { minimumRequests: 5 }
  await gateway.stop()
  gateway = await serveUpstream({
    targets: [{ url: origin.url }],
    timeout: '200ms',
    uploadIdleTimeout: '200ms',
    circuitBreaker,
  })
  const answers = await Promise.all(Array.from({ length: 10 }, () => rawRequest(gateway.port, UPLOAD)))
  expect(answers.filter((answer) => answer.startsWith('HTTP/1.1 408'))).toHaveLength(10)
  await settledOk()
  mode = 'hang'
  await Promise.all(Array.from({ length: 10 }, () => rawRequest(gateway.port, `${UPLOAD}0\r\n\r\n`)))
  await vi.waitFor(async () => expect((await gateway.state()).condition).toBe('open'), { timeout: 500, interval: 20 })
})

it('blames the upstream for an upload that it does not take', async () => {
  await gateway.stop()
  await origin.stop()
  origin = await startFaultOrigin((_, socket) => void socket.pause())
  const circuitBreaker = { minimumRequests: 1 }
  gateway = await serveUpstream({ targets: [{ url: origin.url }], timeout: '300ms', circuitBreaker })
  const size = 16 * 1024 * 1024
  const upload = `POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: ${size}\r\n\r\n${'a'.repeat(size)}`
  await rawRequest(gateway.port, upload)
  await vi.waitFor(async () => expect((await gateway.state()).condition).toBe('open'), { timeout: 1_000, interval: 20 })
})

it.each([
  [
    'before the upload ends',
    'POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 10\r\n\r\nhello',
    'world',
  ],
  ['at once after it', UPLOAD, '0\r\n\r\n'],
])('does not count an answer %s as slow', async (when, start, rest) => {
  await gateway.stop()
  await origin.stop()
  const early = when.startsWith('before')
  origin = await startFaultOrigin((_, socket) => {
    if (early) setTimeout(() => socket.write(http(200)), 300)
    else socket.on('data', (data) => void (String(data).includes('0\r\n\r\n') && socket.write(http(200))))
  })
  const circuitBreaker = { minimumRequests: 3, slowCallDuration: '200ms' }
  gateway = await serveUpstream({ targets: [{ url: origin.url }], circuitBreaker })
  const finish = (socket: Socket) => void socket.write(rest)
  const answers = await Promise.all(Array.from({ length: 4 }, () => rawRequest(gateway.port, start, finish, 500)))
  expect(answers.filter((answer) => answer.startsWith('HTTP/1.1 200'))).toHaveLength(4)
  await new Promise((reported) => setTimeout(reported, 300))
  expect(await gateway.state()).toMatchObject({ condition: 'ok', inFlight: 0 })
})

async function settledOk() {
  mode = 'up'
  expect((await get()).status).toBe(200)
  await new Promise((reported) => setTimeout(reported, 300))
  expect(await gateway.state()).toMatchObject({ condition: 'ok', inFlight: 0 })
}
