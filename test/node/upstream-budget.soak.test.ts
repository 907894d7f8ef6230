import type { Socket } from 'node:net'
import { afterEach, expect, it } from 'vitest'
import { pace, startCallers, type Callers } from '../support/callers.ts'
import { http, startFaultOrigin, type FaultOrigin } from '../support/fault-origin.ts'
import { serveUpstream, type ServedUpstream } from '../support/served-upstream.ts'

let origin: FaultOrigin
let gateway: ServedUpstream
let callers: Callers

afterEach(async () => {
  callers.stop()
  await gateway.stop()
  await origin.stop()
})

const PER_SECOND = 150
const SECONDS = 3

/** What the origin's own ledger has after an open loop of GETs, and the most that the default budget allows for it. */
async function triesUnderLoad(upstream: object, answer: (socket: Socket) => void) {
  origin = await startFaultOrigin((_, socket) => answer(socket))
  gateway = await serveUpstream({ targets: [{ url: origin.url }], ...upstream })
  callers = startCallers(gateway.url)
  const startedAt = Date.now()
  const answers = await pace(PER_SECOND, SECONDS, () => callers.call('/x'))
  // The floor, and the second's worth of it that was there at the beginning.
  const floor = 3 * ((Date.now() - startedAt) / 1_000 + 1)
  const requests = answers.length
  return { answers, tries: origin.received.length, requests, most: 1.2 * requests + floor }
}

const retry = { attempts: 3, backoff: { base: '1ms', max: '1ms' } }

it.each<[string, (socket: Socket) => void, number]>([
  ['answers 503', (socket) => void socket.write(http(503)), 503],
  ['resets every connection', (socket) => void socket.resetAndDestroy(), 502],
])('asks an origin that %s at most a fifth more often than it is asked, and the floor', async (_, fail, status) => {
  const { answers, tries, requests, most } = await triesUnderLoad({ retry }, fail)
  expect(answers.filter((answer) => answer.status === status)).toHaveLength(requests)
  expect(tries).toBeLessThanOrEqual(most)
  // It uses that much, except for what the first requests had not added to the budget yet.
  expect(tries).toBeGreaterThan(1.15 * requests)
})

it('pays for hedges from the same budget', async () => {
  const slow = (socket: Socket) => void setTimeout(() => socket.write(http(503)), 60)
  const hedged = { retry: { ...retry, attempts: 1 }, hedge: { after: '20ms', max: 3 } }
  const { answers, tries, requests, most } = await triesUnderLoad(hedged, slow)
  expect(answers.filter(({ status }) => status === 503)).toHaveLength(requests)
  expect(tries).toBeLessThanOrEqual(most)
  expect(tries).toBeGreaterThan(1.15 * requests)
})
