import { compare } from './compare.ts'
import { needProgram, pinThisProcess } from './load.ts'
import { LIMIT_SETS } from './policy-sets.ts'
import { atMost, spread, type Figure } from './statistics.ts'
import { makeBench, startPolicySet, type Subject } from './subjects.ts'

const SECONDS = 1

/** Measures a request's CPU with a limiter above that on the bare route of the same round; it includes the Durable Objects. */
export async function measureLimits(rounds: number): Promise<Figure[]> {
  needProgram('wrk')
  pinThisProcess()
  const bench = await makeBench()
  const running: Subject[] = []
  try {
    for (const name of ['bare', ...Object.keys(LIMIT_SETS)]) running.push(await startPolicySet(bench, name))
    const [bare, ...limited] = running
    const found = await compare(bare!, limited, rounds, SECONDS)
    return found.map(({ name, rounds: each }) => ({
      name,
      value: spread(each.map(({ cpuUs, baseCpuUs }) => cpuUs - baseCpuUs)),
      unit: 'µs',
      target: atMost(10, ' µs'),
    }))
  } finally {
    await Promise.all(running.map((subject) => subject.stop()))
    bench.origin.stop()
  }
}
