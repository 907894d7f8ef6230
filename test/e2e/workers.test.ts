import { readdirSync, readlinkSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startOrigin, type Origin } from '../support/origin.ts'
import { startLoad, startSupervised, statusOf, type Supervised } from '../support/supervised.ts'

const WORKERS = 3
const SECRET = 'a secret that both machines have, of 32 characters at least'
let origin: Origin
let gateway: Supervised

const limit = (name: string, onStoreError?: string) => ({
  rateLimit: [
    {
      name,
      algorithm: 'fixed-window',
      limit: 50,
      window: '31d',
      key: ['const:all'],
      consistency: 'strict',
      ...(onStoreError && { onStoreError }),
    },
  ],
})
const routesOf = (url: string) => ({
  upstreams: {
    origin: { targets: [{ url }] },
    failing: { targets: [{ url }], circuitBreaker: { minimumRequests: 20, openDuration: '1m' } },
  },
  routes: [
    { id: 'plain', match: { path: '/plain' }, upstream: 'origin' },
    { id: 'limited', match: { path: '/limited' }, upstream: 'origin', policies: limit('all', 'deny') },
    { id: 'closed', match: { path: '/closed' }, respond: {}, policies: limit('closed', 'deny') },
    { id: 'failing', match: { path: '/status/500' }, upstream: 'failing' },
    {
      id: 'admin',
      match: { path: '/admin/*' },
      builtin: 'admin',
      policies: { ip: { allow: ['127.0.0.0/8'] } },
    },
  ],
})

beforeAll(async () => {
  origin = await startOrigin()
  gateway = await startSupervised(routesOf(origin.url), {
    workers: WORKERS,
    stateListen: '127.0.0.1:47113',
    env: { UMBRAL_STATE_SECRET: SECRET },
  })
})
afterAll(async () => {
  await gateway.stop()
  await origin.stop()
})

/** The statuses of `count` requests, each on a connection of its own. */
const statuses = (path: string, count: number) =>
  Promise.all(Array.from({ length: count }, () => statusOf(`${gateway.url}${path}`)))

describe('several processes on one port', () => {
  it('serve as many clients as connect', async () => {
    expect(gateway.processes().workers).toHaveLength(WORKERS)
    expect(await statuses('/plain', 60)).toEqual(Array.from({ length: 60 }, () => 200))
  })

  it('each get their share of the connections', async () => {
    const { workers } = gateway.processes()
    const connectionsOf = (pid: number) =>
      readdirSync(`/proc/${pid}/fd`).filter((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:')).length
    const before = workers.map(({ pid }) => connectionsOf(pid))
    const load = startLoad(`${gateway.url}/plain`, 60)
    await vi.waitFor(
      () => {
        const accepted = workers.map(({ pid }, nth) => connectionsOf(pid) - before[nth]!)
        // Three binomial shares of 60: fewer than five happens once in a million runs.
        expect(Math.min(...accepted)).toBeGreaterThanOrEqual(5)
      },
      { timeout: 5_000, interval: 20 },
    )
    await load.stop()
  })

  it('refuse a port on which another gateway serves', async () => {
    const taken = startSupervised(routesOf(origin.url), { workers: 2, port: gateway.port })
    await expect(taken).rejects.toThrow(`Port ${gateway.port} is taken`)
  })

  it('count a strict limit together', async () => {
    const all = await statuses('/limited', 200)
    // On a busy machine the store can be late: the route then refuses with 503.
    expect(all.filter((status) => ![200, 429, 503].includes(status))).toEqual([])
    expect(all.filter((status) => status === 200).length).toBeLessThanOrEqual(50)
    expect(all).toContain(200)
    await vi.waitFor(async () => expect(await statuses('/limited', 1)).toEqual([429]), { timeout: 5_000, interval: 1 })
  })

  it('open a breaker together', async () => {
    await statuses('/status/500', 3 * 20 + 20)
    // The processes that have not seen enough failures themselves learn of it from the object.
    await vi.waitFor(
      async () => expect(await statuses('/status/500', 24)).toEqual(Array.from({ length: 24 }, () => 503)),
      { timeout: 5_000, interval: 100 },
    )
  })

  it('go on without one that is killed, which is started again', async () => {
    const load = startLoad(`${gateway.url}/plain`, 8)
    for (let nth = 0; nth < 3; nth++) {
      const [victim] = gateway.processes().workers
      process.kill(victim!.pid, 'SIGKILL')
      await victim!.ended
      await vi.waitFor(() => expect(gateway.processes().workers).toHaveLength(WORKERS), {
        timeout: 5_000,
        interval: 20,
      })
    }
    const results = await load.stop()
    // Each of the eight connections can have been in the killed process, each of the three times.
    const failed = Object.entries(results).filter(([status]) => status !== '200')
    expect(failed.every(([error]) => error === 'ECONNRESET' || error === 'socket hang up')).toBe(true)
    expect(failed.reduce((sum, [, count]) => sum + count, 0)).toBeLessThanOrEqual(24)
    expect(results['200']).toBeGreaterThan(100)
    expect(gateway.stderr()).toContain('ended (SIGKILL) and is started again')
  })

  it('answer what each route chose while the process of the objects is away, and lose nothing that was counted', async () => {
    const before = await statuses('/closed', 40)
    expect(new Set(before)).toEqual(new Set([200]))
    const { state } = gateway.processes()
    process.kill(state!.pid, 'SIGKILL')
    await state!.ended
    expect(await statuses('/plain', 12)).toEqual(Array.from({ length: 12 }, () => 200))
    await vi.waitFor(() => expect(gateway.processes().state).toBeDefined(), { timeout: 5_000, interval: 20 })
    const after = await vi.waitFor(
      async () => {
        const [status] = await statuses('/closed', 1)
        expect(status).toBe(200)
        return statuses('/closed', 30)
      },
      { timeout: 5_000, interval: 100 },
    )
    // 40 and one were counted before: nine are left, less those that the wait took.
    expect(after.filter((status) => status === 200).length).toBeLessThanOrEqual(9)
    expect(after).toContain(429)
  })
})

it('frees its port when it is stopped', async () => {
  const first = await startSupervised(routesOf(origin.url))
  await first.stop()
  const second = await startSupervised(routesOf(origin.url), { port: first.port })
  expect(await statusOf(`${second.url}/plain`)).toBe(200)
  await second.stop()
})

describe('a gateway on another machine', () => {
  it('shares the state by the secret', async () => {
    const other = await startSupervised(routesOf(origin.url), {
      workers: 1,
      stateAt: '127.0.0.1:47113',
      env: { UMBRAL_STATE_SECRET: SECRET },
    })
    expect(other.processes().state).toBeUndefined()
    await vi.waitFor(async () => expect(await statusOf(`${other.url}/limited`)).toBe(429), { timeout: 5_000 })
    await other.stop()
  })

  it('has no state without it', async () => {
    const other = await startSupervised(routesOf(origin.url), {
      workers: 1,
      stateAt: '127.0.0.1:47113',
      env: { UMBRAL_STATE_SECRET: 'another secret, of 32 characters at least' },
    })
    const found = [await statusOf(`${other.url}/plain`), await statusOf(`${other.url}/closed`)]
    await other.stop()
    expect(found).toEqual([200, 503])
    expect(other.stderr()).toContain('UMBRAL_STATE_SECRET does not match')
  })
})
