import { createHash } from 'node:crypto'
import type { Exchange } from '../core/exchange.ts'
import type { Platform } from '../core/platform.ts'
import { compileRequestAttribute, lengthPrefixed, type RequestAttribute } from '../core/request-attribute.ts'
import type { LimitVerdict } from './limiter.ts'

/** A longer key is hashed, so that a client cannot fill the memory with long keys. */
const LONGEST_PLAIN_KEY = 128

/**
 * Compiles the key of a limiter: `scope`, which is unique to the limiter, and the values of `parts`, each with its length in front, so that
 * different lists of values never make the same key. A request that lacks a value is counted by the scope alone, together with all others that do, and `missing` is called.
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

/** The SHA-256 of a key in hex, so that a store never receives the caller's identity. It takes 7 µs and is made only for a call to a store. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}

/** What a limiter decided about one request: a line of the decision log. */
export interface Decision {
  readonly event: 'limit'
  /** Epoch milliseconds: on the store's clock, or on the isolate's clock where the isolate counts. */
  readonly at: number
  /** The request's trace id. */
  readonly id: string
  readonly limiter: string
  /** Its item in RateLimit-Policy: limit and window, those of the override where there is one. */
  readonly policy: string
  /** The key of the count: the SHA-256 that stores use, in hex. */
  readonly key: string
  readonly cost: number
  /** `unanswered`: the store did not respond. `charged`: the cost of the response above the tokens taken before. */
  readonly outcome: 'admitted' | 'refused' | 'unanswered' | 'charged'
  readonly consistency: 'local' | 'leased' | 'strict'
  /** The store did not respond, so `onStoreError` decided. */
  readonly blind?: true | undefined
  /** Shadow mode: the request was not affected by the decision. */
  readonly shadow?: true | undefined
  /** When the leased tokens expire: epoch milliseconds on the store's clock. */
  readonly leaseUntil?: number | undefined
}

/** The part of a decision that is the same for all of a limiter. */
export type Decider = Pick<Decision, 'limiter' | 'consistency' | 'shadow'>

/** The part that differs; `verdict` is absent where nothing was counted. */
export interface LoggedDecision extends Pick<Decision, 'id' | 'policy' | 'key' | 'cost' | 'outcome' | 'blind'> {
  readonly verdict?: Pick<LimitVerdict, 'decidedAt' | 'leaseUntil'> | undefined
}

/**
 * Writes each decision of one limiter to standard output, as a line of JSON, before the request goes on. Undefined unless the variable
 * `UMBRAL_LIMIT_LOG` is `on`: a line for each decision is for audits.
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
