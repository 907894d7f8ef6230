import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { http, startFaultOrigin, type FaultOrigin } from '../support/fault-origin.ts'
import { startGateway, type RunningGateway } from '../support/gateway.ts'

/** What a target, whose process lives all the while, makes of `/health`. */
type Health = keyof typeof ANSWERS
const ANSWERS = {
  good: http(200),
  failing: http(500),
  moved: http(302, ['Location: /fine']),
  hanging: undefined,
}

let health: Health = 'good'
let sick: FaultOrigin
let well: FaultOrigin
let gateway: RunningGateway
const stateDir = mkdtempSync(join(tmpdir(), 'umbral-health-'))

const start = () =>
  startGateway({
    routes: {
      upstreams: {
        pair: {
          targets: [{ url: `${sick.url}/v1` }, { url: well.url }],
          healthCheck: { path: '/health', interval: '1s', timeout: '900ms', unhealthyThreshold: 2 },
        },
        wary: {
          targets: [{ url: `${sick.url}/v1` }, { url: well.url }],
          healthCheck: { path: '/health', interval: '1s', unhealthyThreshold: 1, healthyThreshold: 1000 },
        },
      },
      routes: ['pair', 'wary'].map((name) => ({ id: name, match: { path: `/${name}` }, upstream: name })),
    },
    stateDir,
  })

beforeAll(async () => {
  sick = await startFaultOrigin((path, socket) => {
    const answer = path === '/v1/health' ? ANSWERS[health] : http(200, [], 'sick')
    if (answer !== undefined) socket.write(answer)
  })
  well = await startFaultOrigin((_, socket) => void socket.write(http(200, [], 'well')))
  gateway = await start()
})
afterAll(async () => {
  await gateway.stop()
  await Promise.all([sick.stop(), well.stop()])
  rmSync(stateDir, { recursive: true })
})

/** Who answers the next so many requests: some a little apart, so that the isolate hears how targets are. */
async function answers(route: string, count = 10): Promise<string[]> {
  const names: string[] = []
  for (let i = 0; i < count; i++) {
    names.push(await (await fetch(`${gateway.url}/${route}`)).text())
    await new Promise((passed) => setTimeout(passed, 20))
  }
  return [...new Set(names)].toSorted()
}

/** Until it is these that answer: two checks with their time, and the second within which an isolate asks what is new, on a busy machine. */
const until = (route: string, names: string[]) =>
  vi.waitFor(async () => expect(await answers(route)).toEqual(names), { timeout: 15_000, interval: 1 })

test.for<Health>(['failing', 'moved', 'hanging'])(
  'a target whose /health is %s gets nothing until it is good again',
  async (state) => {
    health = 'good'
    await until('pair', ['sick', 'well'])
    health = state
    await until('pair', ['well'])
    expect(await answers('pair', 50)).toEqual(['well'])
    health = 'good'
    await until('pair', ['sick', 'well'])
  },
)

test('the checks are asked by the gateway itself, of the path behind the target’s own, about once a second', async () => {
  const before = sick.received.length
  const since = Date.now()
  await vi.waitFor(() => expect(checks(before).length).toBeGreaterThanOrEqual(3), { timeout: 5_000, interval: 20 })
  expect(Date.now() - since).toBeGreaterThan(500)
  for (const check of checks(before))
    expect(check).toMatch(/^GET \/v1\/health HTTP[^]*\r\nuser-agent: umbral health check\r\n/i)
})

const checks = (from: number) => sick.received.slice(from).filter((head) => head.includes('/health'))

test('a gateway that was killed comes back knowing who is unhealthy', async () => {
  health = 'failing'
  await until('wary', ['well'])
  await gateway.kill()
  // From here on nothing but memory speaks against it: it would take a thousand of these.
  health = 'good'
  gateway = await start()
  await until('wary', ['well'])
  expect(await answers('wary', 60)).toEqual(['well'])
})
