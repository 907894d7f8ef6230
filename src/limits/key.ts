import { createHash } from 'node:crypto'
import type { Exchange } from '../core/exchange.ts'
import type { Platform } from '../core/platform.ts'
import { compileRequestAttribute, lengthPrefixed, type RequestAttribute } from '../core/request-attribute.ts'
import type { LimitVerdict } from './limiter.ts'

/** A longer key is hashed here too, so that a client cannot fill the memory with long ones. */
const LONGEST_PLAIN_KEY = 128

/**
 * Compiles what a limiter counts by: `scope`, which no other limiter has, and the values of `parts`, each with its length in front, so that
 * no two different lists of values make the same key. A request that lacks a value is counted by the scope alone, together with all others that do, and `missing` is called.
 */
export function compileKey(
  scope: readonly string[],
  parts: readonly RequestAttribute[],
  missing: () => void,
): (x: Exchange) => string {
  const prefix = scope.map(lengthPrefixed).join('')
  const readers = parts.map(compileRequestAttribute)
  const finish = (key: string) => (key.length > LONGEST_PLAIN_KEY ? hashKey(key) : key)
  return (x) => {
    let key = prefix
    for (const read of readers) {
      const value = read(x)
      if (!value) {
        missing()
        return finish(prefix)
      }
      key += lengthPrefixed(value)
    }
    return finish(key)
  }
}

/** What a store knows a key by, SHA-256 in hex: it never sees who the caller is. Costs 7 µs, so nobody does it who asks no store. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}

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
export interface LoggedDecision extends Pick<Decision, 'id' | 'policy' | 'key' | 'cost' | 'outcome' | 'blind'> {
  readonly verdict?: Pick<LimitVerdict, 'decidedAt' | 'leaseUntil'> | undefined
}

/**
 * Writes each decision of one limiter to standard output, as a line of JSON, before the request goes on. Undefined unless the variable
 * `UMBRAL_LIMIT_LOG` is `on`: a line a decision is for an audit, not for every day.
 */
export function makeDecisionLog(
  { variable, now }: Pick<Platform, 'variable' | 'now'>,
  decider: Decider,
): ((decided: LoggedDecision) => void) | undefined {
  if (variable('UMBRAL_LIMIT_LOG') !== 'on') return undefined
  return ({ verdict, ...decided }) => {
    const key = hashKey(decided.key)
    const at = verdict?.decidedAt ?? now()
    const line: Decision = { event: 'limit', at, ...decided, key, ...decider, leaseUntil: verdict?.leaseUntil }
    console.log(JSON.stringify(line))
  }
}
