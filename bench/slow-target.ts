import { pace, tally } from '../test/support/callers.ts'
import { startScene } from '../test/support/scene.ts'
import { percentile } from './dead-origin.ts'
import { atMost, single, type Figure } from './statistics.ts'

const PER_SECOND = 500
/** The balancer cannot know of the slow target until its first slow response has arrived. */
const LEARNING_MS = 1_500

/** Measures the latency with three good targets, before and after, and while one of them is slow by a second, from its first slow response on; each for `seconds`. */
export async function measureSlowTarget(seconds: number): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const loadBalancing of ['least-requests', 'ewma']) figures.push(...(await measure(loadBalancing, seconds)))
  return figures
}

async function measure(loadBalancing: string, seconds: number): Promise<Figure[]> {
  const scene = await startScene({ origins: 3, upstream: { loadBalancing }, env: { LOG_LEVEL: 'error' } })
  try {
    const load = async () => {
      const responses = await pace(PER_SECOND, seconds, () => scene.call('/get'))
      const counts = tally(responses)
      if (counts['200'] !== responses.length)
        throw new Error(`${loadBalancing}: ${JSON.stringify(counts)} ${scene.gateway.stderr()}`)
      return percentile(responses, 99)
    }
    // The first requests are slow: code is compiled and connections are opened.
    await pace(PER_SECOND, 1, () => scene.call('/get'))
    const before = await load()
    const slow = scene.origins[0]!
    const slowAt = Date.now()
    await slow.behave({ kind: 'answer', delayMs: 1_000 })
    const value = single(await load())
    const sent = slow.ledger().filter(({ at }) => at >= slowAt)
    const atFirst = sent.filter(({ at }) => at < slowAt + LEARNING_MS).length
    await slow.behave({ kind: 'answer' })
    // The better of the two runs is the stricter measure.
    const good = Math.min(before, await load())
    const note = `the slow target received ${sent.length} of ${PER_SECOND * seconds}, ${atFirst} of them at first`
    return [
      { name: `${loadBalancing}: p99 with three good targets`, value: single(good), unit: 'ms' },
      {
        name: `${loadBalancing}: p99 with one slow`,
        value,
        unit: 'ms',
        target: atMost(Math.round(good * 20) / 10, ' ms'),
        note,
      },
    ]
  } finally {
    await scene.stop()
  }
}
