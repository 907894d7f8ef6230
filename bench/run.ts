import { writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { positive } from './arguments.ts'
import { measureBundle } from './bundle.ts'
import { measureGateway } from './gateway-cost.ts'
import { measureInstructions } from './instructions.ts'
import { needProgram, PINNED, pinThisProcess } from './load.ts'
import { POLICY_SETS } from './policy-sets.ts'
import { measureMatching, measureStart } from './route-count.ts'
import { makeBench } from './subjects.ts'
import { measureTokens } from './token-cost.ts'
import { measureWorkers } from './workers.ts'

/**
 * `npm run bench -- [--set full] [--part gateway] [--rounds 7] [--seconds 1] [--quick] [--json FILE]`: measures the cost of the gateway on this machine.
 * `--set` measures the bare route and the named sets only. See docs/benchmarks.md.
 */
const PARTS = ['bundle', 'matching', 'tokens', 'start', 'gateway', 'instructions', 'workers'] as const

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      set: { type: 'string', multiple: true },
      part: { type: 'string', multiple: true },
      rounds: { type: 'string', default: '7' },
      seconds: { type: 'string', default: '1' },
      quick: { type: 'boolean', default: false },
      json: { type: 'string' },
    },
  })
  const rounds = values.quick ? 1 : positive('--rounds', values.rounds)
  const seconds = positive('--seconds', values.seconds)
  const sets = values.set ? ['bare', ...values.set.filter((name) => name !== 'bare')] : Object.keys(POLICY_SETS)
  const parts = values.part ?? (values.set ? ['gateway'] : PARTS)
  const unknown = parts.find((part) => !PARTS.some((name) => name === part))
  if (unknown !== undefined) throw new Error(`--part: expected one of ${PARTS.join(', ')}, found ${unknown}`)

  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  if (parts.includes('gateway') || parts.includes('workers')) needProgram('wrk')
  console.log(
    `Node ${process.version}, ${cpus().length} cores, gateway and load ${PINNED ? 'on a core each' : 'not pinned'}`,
  )
  const bench = await makeBench()
  // Before anything is pinned: its processes use all cores.
  const workers = parts.includes('workers') && (await measureWorkers(bench, rounds, seconds))
  pinThisProcess()
  try {
    const report = {
      bundle: parts.includes('bundle') && measureBundle(bench.worker),
      matching: parts.includes('matching') && (await measureMatching(rounds, values.quick ? 100_000 : 1_000_000)),
      tokens: parts.includes('tokens') && (await measureTokens(rounds)),
      start: parts.includes('start') && (await measureStart(bench, rounds)),
      gateway: parts.includes('gateway') && (await measureGateway(bench, sets, rounds, seconds)),
      instructions: parts.includes('instructions') && (await measureInstructions(bench)),
      workers,
    }
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
  } finally {
    bench.origin.stop()
  }
}

await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 1
})
