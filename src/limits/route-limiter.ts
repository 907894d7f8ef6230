import type { Exchange } from '../core/exchange.ts'
import type { Handler, Middleware } from '../core/pipeline.ts'
import { problem } from '../core/problem.ts'
import { consumeRest, type Cost, type PendingCost } from './cost.ts'
import type { Decision, LoggedDecision } from './key.ts'
import {
  appendItem,
  fieldEdits,
  limitItem,
  wholeSeconds,
  type FieldOp,
  type LimitVerdict,
  type LocalLimiter,
  type StoreLimiter,
  type TakenPart,
} from './limiter.ts'
import type { LimiterCounters } from './store/limit-log.ts'

/** One count of a limiter: its own, or that of an override. */
export interface Quota {
  readonly key: (x: Exchange) => string
  readonly local: LocalLimiter
  /** Undefined where each isolate counts for itself. */
  readonly store: StoreLimiter | undefined
  /** Its item in RateLimit-Policy. */
  readonly policy: string
}

/** One limiter of a route, compiled. */
export interface RouteLimiter {
  readonly name: string
  /** Which of its counts a request belongs to. */
  readonly quotaOf: (x: Exchange) => Quota
  readonly consistency: 'local' | 'leased' | 'strict'
  readonly cost: Cost
  readonly onStoreError: 'allow' | 'deny' | 'local'
  readonly shadow: boolean
  readonly counters: LimiterCounters
  /** Undefined unless decisions are logged. */
  readonly log: ((decided: LoggedDecision) => void) | undefined
}

/** What one limiter is asked about one request. */
interface Asked {
  readonly gate: RouteLimiter
  readonly quota: Quota
  readonly key: string
  readonly cost: number
  readonly id: string
}

/** What one request has been told so far. */
interface Round {
  policies: string
  limits: string
  violated: string[] | undefined
  retryMs: number
  /** A store that decides did not answer. */
  unknown: boolean
  debits: PendingCost[] | undefined
}

/** What it costs to be refused: nothing, mostly nothing, a call. Whoever is refused by the first has taken nothing from the others. */
const ASKED: readonly RouteLimiter['consistency'][] = ['local', 'leased', 'strict']

/**
 * The layer of these limiters: all must pass. Local ones are asked first, then leased, then strict, each kind in the order written; what one has
 * taken is not given back when a later one refuses. No promise is made unless a store has to be awaited. `decided` hears when all have been asked.
 */
export function compileRouteLimiters(gates: readonly RouteLimiter[], op: FieldOp, decided: () => void): Middleware {
  const shadows = gates.filter(({ shadow }) => shadow)
  const enforced = ASKED.flatMap((kind) => gates.filter((gate) => !gate.shadow && gate.consistency === kind))
  return (next) => {
    const finish = (x: Exchange, round: Round): Promise<Response> => {
      x.edits.push(...fieldEdits(op, round.policies, round.limits))
      const refusal = refusalOf(round)
      if (refusal === undefined) for (const gate of shadows) watch(gate, x, round)
      decided()
      if (refusal !== undefined) return Promise.resolve(refusal)
      return round.debits === undefined ? next(x) : answerAndCharge(next, x, round.debits)
    }
    return (x) => {
      const round: Round = {
        policies: '',
        limits: '',
        violated: undefined,
        retryMs: 0,
        unknown: false,
        debits: undefined,
      }
      const waiting = askAll(enforced, 0, x, round)
      return waiting === undefined ? finish(x, round) : waiting.then(() => finish(x, round))
    }
  }
}

function askedOf(gate: RouteLimiter, quota: Quota, x: Exchange): Asked {
  return { gate, quota, key: quota.key(x), cost: gate.cost.before(x), id: x.id }
}

function askAll(gates: readonly RouteLimiter[], from: number, x: Exchange, round: Round): Promise<void> | undefined {
  for (let i = from; i < gates.length; i++) {
    const waiting = ask(gates[i]!, x, round)
    if (waiting !== undefined) return waiting.then(() => askAll(gates, i + 1, x, round))
  }
  return undefined
}

function ask(gate: RouteLimiter, x: Exchange, round: Round): Promise<void> | undefined {
  const quota = gate.quotaOf(x)
  if (round.violated !== undefined || round.unknown) return look(gate, quota, x, round)
  const asked = askedOf(gate, quota, x)
  const { key, cost } = asked
  const { local, store } = quota
  if (store === undefined) return settle(asked, local.take(key, cost), undefined, round)
  const decide = (answer: LimitVerdict | undefined) =>
    answer === undefined ? decideBlind(asked, round) : settle(asked, answer, store, round)
  const answer = store.take(key, cost, x.waitUntil)
  return answer instanceof Promise ? answer.then(decide) : decide(answer)
}

/** After a refusal: says what else is violated, as far as this isolate knows without asking, and takes nothing. */
function look(gate: RouteLimiter, quota: Quota, x: Exchange, round: Round): undefined {
  round.policies = appendItem(round.policies, quota.policy)
  if (quota.store !== undefined) return
  const asked = askedOf(gate, quota, x)
  const now = quota.local.take(asked.key, 0)
  const isRefused = now.remaining < asked.cost
  const verdict = isRefused ? quota.local.take(asked.key, asked.cost) : now
  if (isRefused) note(asked, 'refused', verdict)
  say(gate, verdict, round)
}

/** `store` has decided; undefined: this isolate has, for the store where it is `blind`. */
function settle(
  asked: Asked,
  verdict: LimitVerdict,
  store: StoreLimiter | undefined,
  round: Round,
  policy = asked.quota.policy,
  blind?: true,
): undefined {
  const { gate } = asked
  round.policies = appendItem(round.policies, policy)
  note(asked, verdict.allowed ? 'admitted' : 'refused', verdict, blind)
  say(gate, verdict, round)
  if (!verdict.allowed) return
  gate.counters.admitted++
  owe(asked, store, round)
}

/** The store has not answered: `onStoreError` does, and says so in RateLimit-Policy. */
function decideBlind(asked: Asked, round: Round): undefined {
  const { gate, quota, key, cost } = asked
  const { onStoreError, counters } = gate
  const marked = `${quota.policy};fallback=${onStoreError}`
  counters.storeFailures++
  if (onStoreError === 'local') {
    const verdict = quota.local.take(key, cost)
    if (verdict.allowed) counters.blind++
    return settle(asked, verdict, undefined, round, marked, true)
  }
  round.policies = appendItem(round.policies, marked)
  if (onStoreError === 'deny') {
    note(asked, 'unanswered', undefined, true)
    round.unknown = true
    return
  }
  note(asked, 'admitted', undefined, true)
  counters.admitted++
  counters.blind++
}

function say(gate: RouteLimiter, verdict: LimitVerdict, round: Round): void {
  round.limits = appendItem(round.limits, limitItem(gate.name, verdict))
  if (verdict.allowed) return
  gate.counters.refused++
  round.violated = [...(round.violated ?? []), gate.name]
  round.retryMs = Math.max(round.retryMs, verdict.resetMs)
}

/** Asks a limiter in shadow mode about a request that the others have let pass, which waits for nothing. */
function watch(gate: RouteLimiter, x: Exchange, round: Round): void {
  const { counters } = gate
  const quota = gate.quotaOf(x)
  const asked = askedOf(gate, quota, x)
  const { local, store } = quota
  const heed = (verdict: LimitVerdict | undefined) => {
    if (verdict === undefined) counters.storeFailures++
    else if (verdict.allowed) counters.admitted++
    else counters.shadowRefused++
    if (verdict === undefined) note(asked, 'unanswered', undefined, true)
    else note(asked, verdict.allowed ? 'admitted' : 'refused', verdict)
  }
  const answer =
    store === undefined ? local.take(asked.key, asked.cost) : store.take(asked.key, asked.cost, x.waitUntil)
  if (answer instanceof Promise) x.waitUntil(answer.then(heed))
  else heed(answer)
  owe(asked, store, round)
}

function owe(asked: Asked, store: StoreLimiter | undefined, round: Round): void {
  const { gate, quota, key } = asked
  const { cost, counters, log } = gate
  if (cost.after === undefined) return
  const charged = log && ((part: TakenPart) => note({ ...asked, cost: part.taken }, 'charged', part))
  const debit = { after: cost.after, counters, key, store, local: quota.local, note: charged }
  round.debits = [...(round.debits ?? []), debit]
}

function note(asked: Asked, outcome: Decision['outcome'], verdict: LoggedDecision['verdict'], blind?: true): void {
  const { gate, quota, key, cost, id } = asked
  gate.log?.({ id, policy: quota.policy, key, cost, outcome, blind, verdict })
}

function refusalOf({ violated, retryMs, unknown }: Round): Response | undefined {
  if (violated !== undefined)
    return problem('quota-exceeded', {
      members: { 'violated-policies': violated },
      headers: { 'retry-after': String(wholeSeconds(retryMs)) },
    })
  return unknown ? problem('limit-store-unavailable') : undefined
}

async function answerAndCharge(next: Handler, x: Exchange, debits: readonly PendingCost[]): Promise<Response> {
  for (const { after } of debits) x.edits.push({ op: 'remove', name: after.header, value: '' })
  const response = await next(x)
  for (const debit of debits) consumeRest(debit, response, x.waitUntil)
  return response
}
