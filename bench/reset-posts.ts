import { tally } from '../test/support/callers.ts'
import { postThroughResets } from '../test/support/exactly-once.ts'
import { atMost, single, type Figure } from './statistics.ts'

/** Sends POSTs through a network that keeps resetting connections, and compares the responses with the ledgers of the origins. */
export async function measureResetPosts(total: number): Promise<Figure[]> {
  const { answers, resets, twice, unrecorded } = await postThroughResets(total)
  const count = (name: string, value: number, rest: Partial<Figure> = {}): Figure => ({
    name,
    value: single(value),
    unit: '',
    ...rest,
  })
  return [
    count('POSTs', total, { note: JSON.stringify(tally(answers)) }),
    count('connections reset', resets),
    count('ids that reached an origin twice', twice.length, { target: atMost(0) }),
    count('2xx responses without exactly one record', unrecorded.length + twice.length, { target: atMost(0) }),
  ]
}
