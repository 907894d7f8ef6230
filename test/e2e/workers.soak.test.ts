import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { startOrigin, type Origin } from '../support/origin.ts'
import { startLoad, startSupervised, type Supervised } from '../support/supervised.ts'

const CONNECTIONS = 8
let origin: Origin
let gateway: Supervised

beforeAll(async () => {
  origin = await startOrigin()
  gateway = await startSupervised(
    {
      upstreams: { origin: { targets: [{ url: origin.url }] } },
      routes: [
        { id: 'plain', match: { path: '/plain' }, upstream: 'origin' },
        {
          id: 'counted',
          match: { path: '/counted' },
          respond: {},
          policies: {
            rateLimit: [
              {
                name: 'counted',
                algorithm: 'fixed-window',
                limit: 1_000_000,
                window: '31d',
                key: ['const:all'],
                consistency: 'strict',
                onStoreError: 'deny',
              },
            ],
          },
        },
      ],
    },
    { workers: 3 },
  )
})
afterAll(async () => {
  await gateway.stop()
  await origin.stop()
})

/** The requests that failed otherwise than because their connection was in the killed process. */
const otherFailures = (results: Record<string, number>, expected: readonly string[]) =>
  Object.entries(results).filter(([result]) => !['200', 'ECONNRESET', 'ECONNREFUSED', ...expected].includes(result))

/** Kills a process `times` times, each time when it runs again, and resolves with the longest time until `isBack`, in milliseconds. */
async function killAgain(
  times: number,
  pidOf: () => number | undefined,
  isBack: (killed: number) => Promise<boolean>,
): Promise<number> {
  let longest = 0
  for (let nth = 0; nth < times; nth++) {
    const pid = await vi.waitUntil(pidOf, { timeout: 10_000, interval: 5 })
    process.kill(pid, 'SIGKILL')
    const killedAt = Date.now()
    await vi.waitUntil(async () => await isBack(pid), { timeout: 10_000, interval: 5 })
    longest = Math.max(longest, Date.now() - killedAt)
  }
  return longest
}

it('loses only what is in flight in a worker that is killed, 20 times', async () => {
  const load = startLoad(`${gateway.url}/plain`, CONNECTIONS)
  let nth = 0
  await killAgain(
    20,
    () => gateway.processes().workers[nth++ % 3]?.pid,
    (pid) => {
      const { workers } = gateway.processes()
      return Promise.resolve(workers.length === 3 && workers.every((worker) => worker.pid !== pid))
    },
  )
  const results = await load.stop()
  expect(otherFailures(results, [])).toEqual([])
  expect(results['ECONNRESET'] ?? 0).toBeLessThanOrEqual(20 * CONNECTIONS)
  expect(results['200']).toBeGreaterThan(500)
})

it('counts on with the process of the objects killed 10 times, and loses nothing that it acknowledged', async () => {
  const url = `${gateway.url}/counted`
  const load = startLoad(url, CONNECTIONS)
  const isCounting = async () => (await fetch(url)).status === 200
  let probes = 0
  const longest = await killAgain(
    10,
    () => gateway.processes().state?.pid,
    async (pid) => {
      const isBack = gateway.processes().state?.pid !== pid && (await isCounting())
      if (isBack) probes++
      return isBack
    },
  )
  const results = await load.stop()
  const last = await fetch(url)
  const remaining = Number(/r=(\d+)/.exec(last.headers.get('ratelimit')!)![1])
  const counted = 1_000_000 - remaining
  // 503 is what the route chose for the time without the store.
  expect(otherFailures(results, ['503'])).toEqual([])
  expect(counted).toBeGreaterThanOrEqual(results['200']! + probes + 1)
  expect(longest).toBeLessThanOrEqual(1_500)
})
