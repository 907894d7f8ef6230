import { join } from 'node:path'
import { runWorker } from '../test/support/run-worker.ts'
import { cpuUs } from './load.ts'
import { atMost, printFigures, spread, type Figure } from './statistics.ts'

/** Fewer than the token cache of one provider holds of this size. */
const TOKENS = 1_500
const REPEATS = 200_000

/** Measures `auth` with revocation checks, at the first use of an ES256 token and at later ones: processor time of workerd without the request around it. */
export async function measureTokens(rounds: number) {
  const worker = await runWorker(join(import.meta.dirname, 'token-worker.ts'))
  const run = async (path: string, count: number): Promise<number> => {
    const before = cpuUs(worker.pid)
    const response = await fetch(`${worker.url}${path}?n=${count}`)
    if (!response.ok) throw new Error(`${path}: ${response.status}`)
    return (cpuUs(worker.pid) - before) / count
  }
  try {
    const found: { first: number; repeat: number }[] = []
    for (let round = 0; round <= rounds; round++) {
      await run('/prepare', TOKENS)
      const first = await run('/verify', TOKENS)
      const repeat = await run('/verify', REPEATS)
      // The first round warms up the engine.
      if (round > 0) found.push({ first, repeat })
    }
    const share = spread(found.map(({ first, repeat }) => (100 * repeat) / first))
    const figures: Figure[] = [
      { name: 'the first use of a token', value: spread(found.map(({ first }) => first)), unit: 'µs' },
      { name: 'a later use', value: spread(found.map(({ repeat }) => repeat)), unit: 'µs' },
      { name: 'a later use, of the first', value: share, unit: '%', target: atMost(10, ' %') },
    ]
    printFigures('Tokens: the policy auth alone, ES256', figures)
    return { rounds: found, share }
  } finally {
    await worker.stop()
  }
}
