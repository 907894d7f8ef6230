import { type CostOfAnswer, TAKEN_BEFORE } from './cost.ts'
import type { LocalLimiter, StoreLimiter, Verdict } from './limiter.ts'
import type { LimiterTally } from './tally.ts'

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
  readonly note: ((cost: number, verdict: Verdict) => void) | undefined
}

/** Takes the rest of what `response` cost, in `waitUntil`: as much as is left, for a count goes down to 0 and no further. */
export function charge(debit: Debit, response: Response, waitUntil: WaitUntil): void {
  const rest = debit.after.of(response) - TAKEN_BEFORE
  if (rest > 0) waitUntil(take(debit, rest, waitUntil).then((taken) => void (debit.tally.uncharged += rest - taken)))
}

/** A limiter takes all or nothing, so what it says is left is asked for next; others may take of it meanwhile, hence again. */
async function take({ store, local, key, note }: Debit, amount: number, waitUntil: WaitUntil): Promise<number> {
  let wanted = amount
  while (wanted > 0) {
    const answer = store === undefined ? local.take(key, wanted) : store.take(key, wanted, waitUntil)
    const verdict = answer instanceof Promise ? await answer : answer
    if (verdict?.allowed) {
      note?.(wanted, verdict)
      return wanted
    }
    wanted = verdict === undefined ? 0 : Math.min(verdict.remaining, wanted - 1)
  }
  return 0
}
