import type { Exchange, HeaderEdit } from '../exchange.ts'
import type { Middleware } from '../pipeline.ts'
import { problem } from '../problem.ts'
import type { LimitTally, LocalLimiter, StoreLimiter, Verdict } from './limiter.ts'

/** One limiter of a route, compiled. */
export interface Gate {
  readonly name: string
  readonly key: (x: Exchange) => string
  readonly local: LocalLimiter
  /** Undefined where each isolate counts for itself. */
  readonly store: StoreLimiter | undefined
  readonly onStoreError: 'allow' | 'deny' | 'local'
  /** Its item in RateLimit-Policy. */
  readonly policy: string
}

/** How the limiters of one layer say what is left: in place of what stands in the answer by then, or beside it. */
export type FieldOp = 'set' | 'append'

/** The layer of these limiters: all must pass, in the order written. */
export function compileGates(gates: readonly Gate[], op: FieldOp, tally: LimitTally): Middleware {
  return gates.some((gate) => gate.store) ? storeLimits(gates, op, tally) : localLimits(gates, op)
}

/** Neither async nor awaiting: with only local limiters a request goes straight on. */
function localLimits(gates: readonly Gate[], op: FieldOp): Middleware {
  const policies = policyField(
    op,
    gates.map((gate) => gate.policy),
  )
  return (next) => (x) => {
    let passed = ''
    for (const gate of gates) {
      const verdict = gate.local.take(gate.key(x), 1)
      passed = listed(passed, gate, verdict)
      if (verdict.allowed) continue
      x.edits.push(policies, limitField(op, passed))
      return Promise.resolve(refuse(gate, verdict))
    }
    x.edits.push(policies, limitField(op, passed))
    return next(x)
  }
}

function storeLimits(gates: readonly Gate[], op: FieldOp, tally: LimitTally): Middleware {
  return (next) => async (x) => {
    const policies = gates.map((gate) => gate.policy)
    let passed = ''
    let refusal: Response | undefined
    for (const [i, gate] of gates.entries()) {
      const key = gate.key(x)
      const answer = gate.store ? await gate.store.take(key, 1, x.waitUntil) : gate.local.take(key, 1)
      if (answer === undefined) {
        tally.storeFailures++
        policies[i] += `;fallback=${gate.onStoreError}`
      }
      const verdict = answer ?? (gate.onStoreError === 'local' ? gate.local.take(key, 1) : undefined)
      if (verdict) passed = listed(passed, gate, verdict)
      if (verdict && !verdict.allowed) refusal = refuse(gate, verdict)
      if (!verdict && gate.onStoreError === 'deny') refusal = problem('limit-store-unavailable')
      if (refusal) break
    }
    x.edits.push(policyField(op, policies))
    if (passed) x.edits.push(limitField(op, passed))
    return refusal ?? next(x)
  }
}

/** The fields of draft-ietf-httpapi-ratelimit-headers: one list for all limiters, in place of whatever the origin says of its own. */
function policyField(op: FieldOp, items: readonly string[]): HeaderEdit {
  return { op, name: 'ratelimit-policy', value: items.join(', ') }
}

function limitField(op: FieldOp, value: string): HeaderEdit {
  return { op, name: 'ratelimit', value }
}

function listed(before: string, gate: Gate, { remaining, resetMs }: Verdict): string {
  const item = `"${gate.name}";r=${remaining};t=${Math.ceil(resetMs / 1_000)}`
  return before === '' ? item : `${before}, ${item}`
}

function refuse(gate: Gate, { resetMs }: Verdict): Response {
  return problem('quota-exceeded', {
    members: { 'violated-policies': [gate.name] },
    headers: { 'retry-after': String(Math.ceil(resetMs / 1_000)) },
  })
}
