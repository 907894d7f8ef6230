import type { Platform } from '../core/platform.ts'
import { hashKey } from './key.ts'
import type { Verdict } from './limiter.ts'

/** What a limiter decided about one request: a line of the decision log. */
export interface Decision {
  readonly event: 'limit'
  /** When, epoch milliseconds: on the store's clock, or on the isolate's where that counts. */
  readonly at: number
  /** The request's trace id. */
  readonly id: string
  readonly limiter: string
  /** Its item in RateLimit-Policy: limit and window, those of the override where there is one. */
  readonly policy: string
  /** Whose count it is: the SHA-256 under which a store knows it, in hex. */
  readonly key: string
  readonly cost: number
  /** `unanswered`: the store did not answer, and so the request is. `charged`: what the answer cost above what was taken before. */
  readonly outcome: 'admitted' | 'refused' | 'unanswered' | 'charged'
  readonly consistency: 'local' | 'leased' | 'strict'
  /** The store did not answer, so that `onStoreError` decided. */
  readonly blind?: true | undefined
  /** The limiter only watches: the request went on whatever it decided. */
  readonly shadow?: true | undefined
  /** Taken ahead, and to be spent before then: epoch milliseconds on the store's clock. */
  readonly leaseUntil?: number | undefined
}

/** The part of a decision that is the same for all of a limiter. */
export type Decider = Pick<Decision, 'limiter' | 'consistency' | 'shadow'>

/** The part that is not; `verdict` is absent where nobody has counted. */
export interface Decided extends Pick<Decision, 'id' | 'policy' | 'key' | 'cost' | 'outcome' | 'blind'> {
  readonly verdict?: Pick<Verdict, 'decidedAt' | 'leaseUntil'> | undefined
}

/**
 * Writes each decision of one limiter to standard output, as a line of JSON, before the request goes on. Undefined unless the variable
 * `UMBRAL_LIMIT_LOG` is `on`: a line a decision is for an audit, not for every day.
 */
export function makeDecisionLog(
  { variable, now }: Pick<Platform, 'variable' | 'now'>,
  decider: Decider,
): ((decided: Decided) => void) | undefined {
  if (variable('UMBRAL_LIMIT_LOG') !== 'on') return undefined
  return ({ verdict, ...decided }) => {
    const key = hashKey(decided.key)
    const at = verdict?.decidedAt ?? now()
    const line: Decision = { event: 'limit', at, ...decided, key, ...decider, leaseUntil: verdict?.leaseUntil }
    console.log(JSON.stringify(line))
  }
}
