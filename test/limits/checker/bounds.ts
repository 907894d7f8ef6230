import type { Decision } from '../../../src/limits/key.ts'
import { leaseMs, type Algorithm, type LimiterSpec } from '../../../src/limits/limiter.ts'

export type Consistency = Decision['consistency']

/** A limiter as far as its bound goes. */
export interface Rule extends LimiterSpec {
  readonly algorithm: Algorithm
  readonly consistency: Consistency
}

/** The most that may be admitted, as a sentence for the documentation. */
export function boundText(algorithm: Algorithm, consistency: Consistency): string {
  const where = consistency === 'local' ? ', in each isolate' : ''
  switch (algorithm) {
    case 'fixed-window':
      return `\`limit\` in each window of the clock that counts${where}`
    case 'sliding-window':
      return `\`limit\` in any stretch as long as \`window\`${where}`
    case 'token-bucket':
      return `\`burst\` + \`limit\` × ${consistency === 'leased' ? '(_t_ + 1 s)' : '_t_'} ÷ \`window\` in any stretch _t_${where}`
  }
}

/** What a bucket may hold above `burst`, because what is taken ahead is spent later: its bound is that of a bucket so much larger. */
export function leewayOf(rule: Rule): number {
  if (rule.algorithm !== 'token-bucket' || rule.consistency !== 'leased') return 0
  return (rule.limit / rule.windowMs) * leaseMs(rule)
}
