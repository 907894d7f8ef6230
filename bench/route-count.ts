import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { get } from 'node:http'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { V8_FLAGS, workerdConfig } from '../deploy/config.ts'
import { buildRoutes, cacheSpec, gatewaySpec } from '../deploy/worker.ts'
import { startWorkerd } from '../deploy/workerd.ts'
import { GATEWAY_LAUNCHER, rssMb } from './load.ts'
import { manyRoutes, pathOf } from './many-routes.ts'
import { atMost, printFigures, spread, type Figure } from './statistics.ts'
import { workerConfig, type Bench } from './subjects.ts'

const run = promisify(execFile)
const COUNTS = [10, 100, 1_000, 10_000]

/** Measures a match among 10 to 10,000 routes, on the engine and flags of the gateway. */
export async function measureMatching(rounds: number, iterations: number) {
  const found: Record<number, number[]> = {}
  for (let round = 0; round < rounds; round++) {
    for (const count of COUNTS) {
      const args = [...V8_FLAGS, join(import.meta.dirname, 'match-loop.ts'), String(count), String(iterations)]
      const [command, ...rest] = [...GATEWAY_LAUNCHER, process.execPath, ...args]
      ;(found[count] ??= []).push(Number((await run(command!, rest)).stdout) / 1000)
    }
  }
  const growth = spread(found[10_000]!.map((us, round) => us / found[10]![round]!))
  const figures: Figure[] = COUNTS.map((count) => ({
    name: `a match among ${count} routes`,
    value: spread(found[count]!),
    unit: 'µs',
    ...(count === 10_000 && { target: atMost(1, ' µs') }),
  }))
  figures.push({ name: '10,000 against 10', value: growth, unit: '×', target: atMost(2, ' ×') })
  printFigures(`Matching, ${iterations} matches a round`, figures)
  return { us: found, growth }
}

interface Start {
  readonly ms: number
  readonly rssMb: number
}

/**
 * Measures the time from the spawn of workerd to the first 200, and the memory then, with 10 and with 10,000 routes, on all cores as users start it. The
 * pass-through Worker is measured for comparison.
 */
export async function measureStart(bench: Bench, rounds: number) {
  const least = startOf(
    await workerConfig(bench, 'pass-through'),
    join(bench.folder, 'least.state'),
    '/',
    bench.origin.url,
  )
  const few = await startOfRoutes(bench, 10)
  const many = await startOfRoutes(bench, 10_000)
  const starts: { least: Start; few: Start; many: Start }[] = []
  for (let round = 0; round < rounds; round++)
    starts.push({ least: await least(), few: await few(), many: await many() })
  const of = (read: (start: (typeof starts)[number]) => number) => spread(starts.map(read))
  printFigures('Start-up: spawn of workerd to the first 200', [
    { name: 'the pass-through Worker', value: of((s) => s.least.ms), unit: 'ms' },
    { name: 'cold start, 10 routes', value: of((s) => s.few.ms), unit: 'ms', target: atMost(100, ' ms') },
    { name: '10,000 routes', value: of((s) => s.many.ms), unit: 'ms' },
    { name: 'more with 10,000', value: of((s) => s.many.ms - s.few.ms), unit: 'ms', target: atMost(200, ' ms') },
    { name: 'RSS, 10 routes', value: of((s) => s.few.rssMb), unit: 'MB' },
    { name: 'more with 10,000', value: of((s) => s.many.rssMb - s.few.rssMb), unit: 'MB', target: atMost(80, ' MB') },
  ])
  return starts
}

async function startOfRoutes(bench: Bench, count: number): Promise<() => Promise<Start>> {
  const file = join(bench.folder, `${count}.json`)
  writeFileSync(file, JSON.stringify({ version: 1, routes: manyRoutes(count) }))
  const text = join(bench.folder, `${count}.txt`)
  await buildRoutes(file, text, process.env)
  // Puts the file into the file cache, as on a machine that has started it before.
  readFileSync(text)
  const config = workerdConfig(gatewaySpec(bench.worker, text, ['LOG_LEVEL']), cacheSpec(bench.worker))
  return startOf(config, join(bench.folder, `${count}.state`), pathOf(count - 1, 1), bench.origin.url)
}

function startOf(config: string, stateDir: string, path: string, origin: string): () => Promise<Start> {
  const env = { LOG_LEVEL: 'silent', BENCH_ORIGIN: origin }
  return async () => {
    const startedAt = performance.now()
    const workerd = await startWorkerd({ config, ip: '127.0.0.1', port: 0, stateDir, stdout: 'inherit', env })
    try {
      const status = await statusOf(workerd.url + path)
      const ms = performance.now() - startedAt
      if (status !== 200) throw new Error(`The first response of ${path} was ${status}`)
      return { ms, rssMb: rssMb(workerd.pid) }
    } finally {
      await workerd.stop()
    }
  }
}

/** The status of a response. Not by `fetch`, whose first call takes longer than the measured start. */
function statusOf(url: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    get(url, { agent: false }, (response) => response.resume().on('end', () => resolve(response.statusCode))).on(
      'error',
      reject,
    )
  })
}
