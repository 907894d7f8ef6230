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

/** One quota of a limiter: its own, or that of an override. */
export interface Quota {
  readonly key: (x: Exchange) => string
  readonly local: LocalLimiter
  /** Undefined where each isolate counts alone. */
  readonly store: StoreLimiter | undefined
  /** Its item in RateLimit-Policy. */
  readonly policy: string
}

/** One limiter of a route, compiled. */
export interface RouteLimiter {
  readonly name: string
  /** The quota that a request belongs to. */
  readonly quotaOf: (x: Exchange) => Quota
  readonly consistency: 'local' | 'leased' | 'strict'
  readonly cost: Cost
  readonly onStoreError: 'allow' | 'deny' | 'local'
  readonly shadow: boolean
  readonly counters: LimiterCounters
  /** Undefined unless decisions are logged. */
  readonly log: ((decision: LoggedDecision) => void) | undefined
}

/** One request at one limiter. */
interface LimitedRequest {
  readonly limiter: RouteLimiter
  readonly quota: Quota
  readonly key: string
  readonly cost: number
  readonly id: string
}

/** The decisions on one request so far. */
interface Decisions {
  policies: string
  limits: string
  violated: string[] | undefined
  retryMs: number
  /** Whether a store did not respond whose route then denies. */
  isDenied: boolean
  pendingCosts: PendingCost[] | undefined
}

/** In the order of what a refusal costs: nothing, mostly nothing, a call. A request that the first refuses consumes nothing at the others. */
const CONSISTENCY_ORDER: readonly RouteLimiter['consistency'][] = ['local', 'leased', 'strict']

/**
 * The layer of these limiters: all must admit. Local limiters come first, then leased, then strict, each kind in the order of the file; what one
 * has consumed is not returned when a later one refuses. No promise is made unless a store must be awaited. `onDecided` is called once for each request.
 */
export function compileRouteLimiters(
  limiters: readonly RouteLimiter[],
  op: FieldOp,
  onDecided: () => void,
): Middleware {
  const shadows = limiters.filter(({ shadow }) => shadow)
  const enforced = CONSISTENCY_ORDER.flatMap((kind) =>
    limiters.filter((limiter) => !limiter.shadow && limiter.consistency === kind),
  )
  return (next) => {
    const finish = (x: Exchange, decisions: Decisions): Promise<Response> => {
      x.edits.push(...fieldEdits(op, decisions.policies, decisions.limits))
      const refusal = refusalOf(decisions)
      if (refusal === undefined) for (const limiter of shadows) recordShadow(limiter, x, decisions)
      onDecided()
      if (refusal !== undefined) return Promise.resolve(refusal)
      return decisions.pendingCosts === undefined ? next(x) : respondAndSettle(next, x, decisions.pendingCosts)
    }
    return (x) => {
      const decisions: Decisions = {
        policies: '',
        limits: '',
        violated: undefined,
        retryMs: 0,
        isDenied: false,
        pendingCosts: undefined,
      }
      const pending = consumeAll(enforced, 0, x, decisions)
      return pending === undefined ? finish(x, decisions) : pending.then(() => finish(x, decisions))
    }
  }
}

function requestAt(limiter: RouteLimiter, quota: Quota, x: Exchange): LimitedRequest {
  return { limiter, quota, key: quota.key(x), cost: limiter.cost.before(x), id: x.id }
}

function consumeAll(
  limiters: readonly RouteLimiter[],
  from: number,
  x: Exchange,
  decisions: Decisions,
): Promise<void> | undefined {
  for (let i = from; i < limiters.length; i++) {
    const pending = consume(limiters[i]!, x, decisions)
    if (pending !== undefined) return pending.then(() => consumeAll(limiters, i + 1, x, decisions))
  }
  return undefined
}

function consume(limiter: RouteLimiter, x: Exchange, decisions: Decisions): Promise<void> | undefined {
  const quota = limiter.quotaOf(x)
  if (decisions.violated !== undefined || decisions.isDenied) return peek(limiter, quota, x, decisions)
  const request = requestAt(limiter, quota, x)
  const { key, cost } = request
  const { local, store } = quota
  if (store === undefined) return settle(request, local.take(key, cost), undefined, decisions)
  const decide = (verdict: LimitVerdict | undefined) =>
    verdict === undefined ? applyFallback(request, decisions) : settle(request, verdict, store, decisions)
  const verdict = store.take(key, cost, x.waitUntil)
  return verdict instanceof Promise ? verdict.then(decide) : decide(verdict)
}

/** After a refusal: reports which other limits are violated in this isolate's latest state, and consumes nothing. */
function peek(limiter: RouteLimiter, quota: Quota, x: Exchange, decisions: Decisions): undefined {
  decisions.policies = appendItem(decisions.policies, quota.policy)
  if (quota.store !== undefined) return
  const request = requestAt(limiter, quota, x)
  const now = quota.local.take(request.key, 0)
  const isRefused = now.remaining < request.cost
  const verdict = isRefused ? quota.local.take(request.key, request.cost) : now
  if (isRefused) logDecision(request, 'refused', verdict)
  report(limiter, verdict, decisions)
}

/** Applies a decision of `store`, or of this isolate where `store` is undefined; `isFallback`: in place of a store that did not respond. */
function settle(
  request: LimitedRequest,
  verdict: LimitVerdict,
  store: StoreLimiter | undefined,
  decisions: Decisions,
  policy = request.quota.policy,
  isFallback?: true,
): undefined {
  const { limiter } = request
  decisions.policies = appendItem(decisions.policies, policy)
  logDecision(request, verdict.allowed ? 'admitted' : 'refused', verdict, isFallback)
  report(limiter, verdict, decisions)
  if (!verdict.allowed) return
  limiter.counters.admitted++
  settleCost(request, store, decisions)
}

/** The store did not respond: `onStoreError` decides, and RateLimit-Policy says so. */
function applyFallback(request: LimitedRequest, decisions: Decisions): undefined {
  const { limiter, quota, key, cost } = request
  const { onStoreError, counters } = limiter
  const policy = `${quota.policy};fallback=${onStoreError}`
  counters.storeFailures++
  if (onStoreError === 'local') {
    const verdict = quota.local.take(key, cost)
    if (verdict.allowed) counters.blind++
    return settle(request, verdict, undefined, decisions, policy, true)
  }
  decisions.policies = appendItem(decisions.policies, policy)
  if (onStoreError === 'deny') {
    logDecision(request, 'unanswered', undefined, true)
    decisions.isDenied = true
    return
  }
  logDecision(request, 'admitted', undefined, true)
  counters.admitted++
  counters.blind++
}

function report(limiter: RouteLimiter, verdict: LimitVerdict, decisions: Decisions): void {
  decisions.limits = appendItem(decisions.limits, limitItem(limiter.name, verdict))
  if (verdict.allowed) return
  limiter.counters.refused++
  decisions.violated = [...(decisions.violated ?? []), limiter.name]
  decisions.retryMs = Math.max(decisions.retryMs, verdict.resetMs)
}

/** Counts a request at a limiter in shadow mode, after the others have admitted it. The request does not wait for it. */
function recordShadow(limiter: RouteLimiter, x: Exchange, decisions: Decisions): void {
  const { counters } = limiter
  const quota = limiter.quotaOf(x)
  const request = requestAt(limiter, quota, x)
  const { local, store } = quota
  const record = (verdict: LimitVerdict | undefined) => {
    if (verdict === undefined) counters.storeFailures++
    else if (verdict.allowed) counters.admitted++
    else counters.shadowRefused++
    if (verdict === undefined) logDecision(request, 'unanswered', undefined, true)
    else logDecision(request, verdict.allowed ? 'admitted' : 'refused', verdict)
  }
  const verdict =
    store === undefined ? local.take(request.key, request.cost) : store.take(request.key, request.cost, x.waitUntil)
  if (verdict instanceof Promise) x.waitUntil(verdict.then(record))
  else record(verdict)
  settleCost(request, store, decisions)
}

function settleCost(request: LimitedRequest, store: StoreLimiter | undefined, decisions: Decisions): void {
  const { limiter, quota, key } = request
  const { cost, counters, log } = limiter
  if (cost.after === undefined) return
  const logCharge = log && ((part: TakenPart) => logDecision({ ...request, cost: part.taken }, 'charged', part))
  const pending = { after: cost.after, counters, key, store, local: quota.local, note: logCharge }
  decisions.pendingCosts = [...(decisions.pendingCosts ?? []), pending]
}

function logDecision(
  request: LimitedRequest,
  outcome: Decision['outcome'],
  verdict: LoggedDecision['verdict'],
  isFallback?: true,
): void {
  const { limiter, quota, key, cost, id } = request
  limiter.log?.({ id, policy: quota.policy, key, cost, outcome, blind: isFallback, verdict })
}

function refusalOf({ violated, retryMs, isDenied }: Decisions): Response | undefined {
  if (violated !== undefined)
    return problem('quota-exceeded', {
      members: { 'violated-policies': violated },
      headers: { 'retry-after': String(wholeSeconds(retryMs)) },
    })
  return isDenied ? problem('limit-store-unavailable') : undefined
}

async function respondAndSettle(next: Handler, x: Exchange, pendingCosts: readonly PendingCost[]): Promise<Response> {
  for (const { after } of pendingCosts) x.edits.push({ op: 'remove', name: after.header, value: '' })
  const response = await next(x)
  for (const pending of pendingCosts) consumeRest(pending, response, x.waitUntil)
  return response
}
