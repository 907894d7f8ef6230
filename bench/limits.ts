import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import * as prettier from 'prettier'
import type { Consistency } from '../test/limits/checker/bounds.ts'
import { boundsTable, type Placed } from '../test/limits/checker/table.ts'
import { positive } from './arguments.ts'
import { boundFigures, measureBounds, measureSteadyLeases, shortfallFigure } from './limit-bounds.ts'
import { measureLimits } from './limit-cost.ts'
import { measureFaults } from './limit-faults.ts'
import { measureKill } from './limit-kill.ts'
import { printFigures, type Figure } from './statistics.ts'

/**
 * `npm run bench:limits -- [--part strict] [--runs 10] [--rounds 9] [--docs]`: whether limits are ceilings, by the limiters' own log and the origin's
 * ledger, through real gateways, a real Redis and what can befall them. Without `--part` all of it, some eight minutes. `--docs` puts the table of bounds
 * into docs/rate-limits.md.
 */
const PARTS = ['strict', 'leased', 'local', 'faults', 'kill', 'cpu'] as const
const DOCS = join(import.meta.dirname, '../docs/rate-limits.md')

/** What part of what could have been admitted is refused, in percent, at most. */
const SHORTFALL: Readonly<Record<Consistency, readonly [name: string, percent: number]>> = {
  strict: ['false refusals', 1],
  leased: ['under-fill', 5],
  local: ['false refusals', 1],
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      part: { type: 'string', multiple: true, default: [...PARTS] },
      runs: { type: 'string', default: '10' },
      rounds: { type: 'string', default: '9' },
      docs: { type: 'boolean', default: false },
    },
  })
  const unknown = values.part.find((part) => !PARTS.some((known) => known === part))
  if (unknown !== undefined) throw new Error(`--part: expected one of ${PARTS.join(', ')}, found ${unknown}`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  const runs = positive('--runs', values.runs)
  const rounds = positive('--rounds', values.rounds)
  console.log(
    `Node ${process.version}, ${availableParallelism()} cores, load average ${loadavg()[0]!.toFixed(1)} at the start`,
  )
  const placed: Placed[] = []
  const bounds = async (consistency: Consistency): Promise<Figure[]> => {
    const found = await measureBounds(consistency, runs)
    placed.push(...found.placed)
    const figures = [...boundFigures(found), shortfallFigure(...SHORTFALL[consistency], found)]
    return consistency === 'leased' ? [...figures, ...(await measureSteadyLeases())] : figures
  }
  const measures: Readonly<Record<(typeof PARTS)[number], readonly [title: string, measure: () => Promise<Figure[]>]>> =
    {
      strict: ['Strict: 3 algorithms, 2 stores, 16 to 64 clients of 1 and of 3 gateways', () => bounds('strict')],
      leased: ['Leased: the same, and what takes no round trip', () => bounds('leased')],
      local: ['Local: the same, each isolate for itself', () => bounds('local')],
      faults: ['What can befall a store and a gateway, for a second each', measureFaults],
      kill: ['Redis goes in the middle of a burst: strict, "onStoreError": "local"', measureKill],
      cpu: ['CPU a request above the bare route', () => measureLimits(rounds)],
    }
  for (const part of PARTS.filter((name) => values.part.includes(name))) {
    const [title, measure] = measures[part]
    printFigures(title, await measure())
  }
  if (placed.length === 0) return
  console.log(`\n${boundsTable(placed)}`)
  if (values.docs) await writeTable(placed)
}

async function writeTable(placed: readonly Placed[]): Promise<void> {
  const marks = /<!-- measured -->[^]*<!-- \/measured -->/
  const text = readFileSync(DOCS, 'utf8').replace(
    marks,
    () => `<!-- measured -->\n\n${boundsTable(placed)}\n\n<!-- /measured -->`,
  )
  writeFileSync(DOCS, await prettier.format(text, { ...(await prettier.resolveConfig(DOCS)), filepath: DOCS }))
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
