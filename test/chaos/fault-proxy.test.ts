import { connect, createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startCallers, type Callers } from '../support/callers.ts'
import { startFaultProxy, type FaultProxy } from '../support/fault-proxy.ts'
import { startLedgerOrigin, type LedgerOrigin } from '../support/ledger-origin.ts'
import { listen } from '../support/listen.ts'

let origin: LedgerOrigin
let proxy: FaultProxy
let callers: Callers

beforeAll(async () => {
  origin = await startLedgerOrigin()
  proxy = await startFaultProxy(origin.url)
  callers = startCallers(proxy.url)
})
afterAll(async () => {
  callers.stop()
  await proxy.stop()
  await origin.stop()
})

/** Callers without a connection yet: what is counted per connection begins with theirs. */
function renew(): void {
  callers.stop()
  callers = startCallers(proxy.url)
}

it('passes bytes as they are, and delays them when it is told to', async () => {
  const plain = await callers.call('/plain')
  expect(plain).toMatchObject({ status: 200, isWhole: true, body: 'a body of forty bytes, to be cut in two.\n' })
  proxy.set({ latencyMs: 100, jitterMs: 50 })
  const late = await callers.call('/late')
  expect(late.body).toBe(plain.body)
  expect(late.ms).toBeGreaterThanOrEqual(99)
})

it('narrows and slices without a byte lost', async () => {
  proxy.set({ bytesPerSecond: 1_000 })
  const narrow = await callers.call('/narrow')
  expect(narrow).toMatchObject({ isWhole: true, body: 'a body of forty bytes, to be cut in two.\n' })
  // The head alone is more than a hundred bytes.
  expect(narrow.ms).toBeGreaterThanOrEqual(100)
  proxy.set({ slicer: { bytes: 10, pauseMs: 10 } })
  const sliced = await callers.call('/sliced')
  expect(sliced).toMatchObject({ isWhole: true, body: narrow.body })
  expect(sliced.ms).toBeGreaterThanOrEqual(100)
})

it.each([
  ['before anything of the request', 'requests', 0, 0, 0],
  ['within the request', 'requests', 10, 0, 0],
  ['before anything of the answer', 'answers', 0, 0, 1],
  ['within the body', 'answers', 'HTTP/1.1 200 OK\r\n'.length + 130, 200, 1],
] as const)('resets %s', async (_, of, afterBytes, status, arrived) => {
  renew()
  const [entries, { resets }] = [origin.ledger().length, proxy.seen()]
  proxy.set({ reset: { of, afterBytes } })
  const answer = await callers.call('/reset')
  proxy.set({})
  expect(answer).toMatchObject({ status, isWhole: false })
  expect(origin.ledger().length - entries).toBe(arrived)
  expect(proxy.seen().resets - resets).toBe(1)
})

it('resets connections by their number', async () => {
  renew()
  const first = proxy.seen().connections
  proxy.set((nth) => (nth === first ? { reset: { of: 'requests', afterBytes: 0 } } : {}))
  expect([(await callers.call('/odd')).status, (await callers.call('/even')).status]).toEqual([0, 200])
  proxy.set({})
})

it('accepts and says nothing, until the connection is closed', async () => {
  const entries = origin.ledger().length
  proxy.set({ timeout: true })
  let answered = false
  const hung = callers.call('/hung').finally(() => (answered = true))
  await new Promise((passed) => setTimeout(passed, 100))
  proxy.set({})
  await new Promise((passed) => setTimeout(passed, 100))
  expect(answered).toBe(false)
  expect((await callers.call('/other')).status).toBe(200)
  expect(origin.ledger().length - entries).toBe(1)
  await proxy.down()
  expect((await hung).status).toBe(0)
  await proxy.up()
  renew()
})

it('refuses while it is down, and listens on the same port again', async () => {
  await proxy.down()
  renew()
  expect((await callers.call('/down')).status).toBe(0)
  await proxy.up()
  expect((await callers.call('/up')).status).toBe(200)
})

it('passes an end on while the other direction flows', async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    let heard = ''
    socket.on('data', (data) => (heard += data.toString())).on('end', () => socket.end(`${heard} and back`))
  })
  const echo = await listen(server)
  const between = await startFaultProxy(echo.url, { latencyMs: 20 })
  const socket = connect({ port: between.port, host: '127.0.0.1', allowHalfOpen: true })
  socket.end('there')
  expect(await text(socket)).toBe('there and back')
  await between.stop()
  await echo.stop()
})
