import { compare, over } from './compare.ts'
import { needProgram, pinThisProcess } from './load.ts'
import { BALANCED_SETS } from './policy-sets.ts'
import { atMost, type Figure } from './statistics.ts'
import { makeBench, startPolicySet, type Subject } from './subjects.ts'

const SECONDS = 1

/** Measures a request's CPU with a breaker and several targets above that on the bare route of the same round, in percent. */
export async function measureStages(rounds: number): Promise<Figure[]> {
  needProgram('wrk')
  pinThisProcess()
  const bench = await makeBench()
  const running: Subject[] = []
  try {
    const bare = await startPolicySet(bench, 'bare')
    running.push(bare)
    for (const name of Object.keys(BALANCED_SETS)) running.push(await startPolicySet(bench, name))
    const found = await compare(bare, running.slice(1), rounds, SECONDS)
    return found.map((comparison) => {
      const { median, min, max } = over(comparison, ({ cpuRatio }) => (cpuRatio - 1) * 100)
      return { name: comparison.name, value: { median, min, max }, unit: '%', target: atMost(15, ' %') }
    })
  } finally {
    await Promise.all(running.map((subject) => subject.stop()))
    bench.origin.stop()
  }
}
