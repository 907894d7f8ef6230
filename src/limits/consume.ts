import { type CostOfAnswer, TAKEN_BEFORE } from './cost.ts'
import type { Drawn, LocalLimiter, StoreLimiter } from './limiter.ts'
import type { LimiterTally } from './counters.ts'

type WaitUntil = (work: Promise<unknown>) => void

/** What is still to be charged when the answer is there. */
export interface Debit {
  readonly after: CostOfAnswer
  readonly key: string
  /** Whoever has let the request pass: this store, or else this isolate. */
  readonly store: StoreLimiter | undefined
  readonly local: LocalLimiter
  readonly tally: LimiterTally
  /** Tells the decision log what was taken. */
  readonly note: ((part: Drawn) => void) | undefined
}

/** Takes the rest of what `response` cost, in `waitUntil`: as much as is left, for a count goes down to 0 and no further. */
export function charge(debit: Debit, response: Response, waitUntil: WaitUntil): void {
  const rest = debit.after.of(response) - TAKEN_BEFORE
  if (rest > 0) waitUntil(drain(debit, rest, waitUntil))
}

async function drain({ store, local, key, note, tally }: Debit, rest: number, waitUntil: WaitUntil): Promise<void> {
  const parts = store === undefined ? local.drain(key, rest) : await store.drain(key, rest, waitUntil)
  let taken = 0
  for (const part of parts) {
    note?.(part)
    taken += part.taken
  }
  tally.uncharged += rest - taken
}
