import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { superviseGateway, type RunningGateway } from '../deploy/supervisor.ts'
import { cpuUs, load } from './load.ts'
import { atLeast, printFigures, spread } from './statistics.ts'
import type { Bench } from './subjects.ts'

const CONNECTIONS = 64
const WORKERS = [1, 2] as const

interface Run {
  readonly perSecond: number
  /** The share of the machine's cores that the gateway used. */
  readonly busy: number
}

/**
 * The throughput of two processes against one, with responses from the cache, so that no origin takes a core. The load runs on the same cores and is
 * not pinned: with two cores it takes from two processes what it leaves to one.
 */
export async function measureWorkers(bench: Bench, rounds: number, seconds: number) {
  const routes = join(bench.folder, 'workers.json')
  writeFileSync(routes, JSON.stringify(cachedRoutes(bench.origin.url)))
  const running: RunningGateway[] = []
  try {
    for (const workers of WORKERS) running.push(await start(bench, routes, workers))
    const results: Run[][] = []
    for (let round = 0; round < rounds; round++) {
      const runs: Run[] = []
      for (const gateway of running) runs.push(await measure(gateway, seconds))
      results.push(runs)
    }
    const [ratios, ones, twos] = [
      results.map(([one, two]) => two!.perSecond / one!.perSecond),
      results.map(([one]) => one!),
      results.map(([, two]) => two!),
    ]
    printFigures('Two processes against one, responses from the cache', [
      { name: 'throughput', value: spread(ratios), unit: '×', target: atLeast(1.7, ' ×') },
      { name: 'requests a second, one process', value: spread(ones.map(({ perSecond }) => perSecond)), unit: '' },
      { name: 'requests a second, two processes', value: spread(twos.map(({ perSecond }) => perSecond)), unit: '' },
      { name: 'cores used by one process', value: spread(ones.map(({ busy }) => busy)), unit: '' },
      { name: 'cores used by two processes', value: spread(twos.map(({ busy }) => busy)), unit: '' },
    ])
    return { results }
  } finally {
    await Promise.all(running.map(({ stop }) => stop()))
  }
}

const cachedRoutes = (origin: string) => ({
  version: 1,
  upstreams: { users: { targets: [{ url: origin }] } },
  routes: [
    {
      id: 'user',
      match: { methods: ['GET'], path: '/users/:id' },
      upstream: 'users',
      policies: { cache: { ttl: '1h' } },
    },
  ],
})

function start(bench: Bench, routes: string, workers: number): Promise<RunningGateway> {
  return superviseGateway({
    routes,
    ip: '127.0.0.1',
    port: 0,
    stateDir: join(bench.folder, `workers-${workers}.state`),
    workers,
    stateAt: undefined,
    stateListen: undefined,
    drainMs: undefined,
    stdout: 'inherit',
    stderr: process.stderr,
    env: { LOG_LEVEL: 'silent' },
  })
}

async function measure({ url, processes }: RunningGateway, seconds: number): Promise<Run> {
  const pids = processes().workers.map(({ pid }) => pid)
  const used = () => pids.reduce((sum, pid) => sum + cpuUs(pid), 0)
  const target = { url: `${url}/users/42`, headers: {}, connections: CONNECTIONS, isPinned: false }
  await load({ ...target, seconds: 1 })
  const before = used()
  const startedAt = performance.now()
  const { perSecond } = await load({ ...target, seconds })
  const elapsedUs = (performance.now() - startedAt) * 1_000
  return { perSecond, busy: (used() - before) / elapsedUs }
}
