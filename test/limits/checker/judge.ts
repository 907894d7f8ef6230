import type { Decision } from '../../../src/limits/key.ts'
import { leewayOf, type Rule } from './bounds.ts'
import { makeUsage, type Taken } from './windows.ts'

/** A line of a gateway's decision log, and in which isolate it was written. */
export interface Logged extends Decision {
  readonly isolate: string
}

export interface Circumstances {
  /** What a limiter does while its store is down. Default `deny`. */
  readonly onStoreError?: 'allow' | 'deny' | 'local'
  /** How often the store has lost its memory: each adds one limit to the bound. Default 0. */
  readonly losses?: number
}

/** What the decisions of one limiter were worth. */
export interface Judgement {
  readonly admitted: number
  readonly refused: number
  readonly unanswered: number
  /** Admitted while the store did not answer. */
  readonly blind: number
  /** Spent from a lease, without a call. */
  readonly leased: number
  /** The most that was admitted above the bound in any window, for any key; 0 when it was kept. */
  readonly over: number
  /** Spent from a lease after its end, or blind where blind is refused. */
  readonly wrong: number
  /** Refused although the bound would have allowed it beside all that was admitted and all the others counted here. */
  readonly under: number
  /** `under` as a share of what could have been admitted, from 0 to 1. */
  readonly underShare: number
}

/** Fractions of tokens add up to a little less or more than a whole one. */
const ROUNDING = 1e-5

/** Judges what one limiter decided, by the clock that it counts by, over every window. */
export function judge(decisions: readonly Logged[], rule: Rule, circumstances: Circumstances = {}): Judgement {
  const { onStoreError = 'deny', losses = 0 } = circumstances
  const isBlind = ({ blind }: Logged) => blind === true
  const byStore = countsOf(decisions, (decision) => rule.consistency !== 'local' && !isBlind(decision), byKey)
  const byIsolate = countsOf(
    decisions,
    (decision) => rule.consistency === 'local' || (isBlind(decision) && onStoreError === 'local'),
    (decision) => `${decision.isolate} ${decision.key}`,
  )
  const capacity = capacityOf(rule)
  const storeCapacity = capacity * (1 + losses) + leewayOf(rule)
  const over = Math.max(
    0,
    ...byStore.map((count) => excess(count.filter(isTaken), rule, storeCapacity)),
    ...byIsolate.map((count) => excess(count.filter(isTaken), rule, capacity)),
  )
  const counts = rule.consistency === 'local' ? byIsolate : byStore
  const under = counts.reduce((sum, count) => sum + falseRefusals(count, rule), 0)
  const number = (test: (decision: Logged) => boolean) => decisions.filter(test).length
  const admitted = number(({ outcome }) => outcome === 'admitted')
  const strays = ({ at, leaseUntil }: Logged) => leaseUntil !== undefined && at >= leaseUntil
  return {
    admitted,
    refused: number(({ outcome }) => outcome === 'refused'),
    unanswered: number(({ outcome }) => outcome === 'unanswered'),
    blind: number((decision) => isBlind(decision) && isTaken(decision)),
    leased: number(({ leaseUntil }) => leaseUntil !== undefined),
    over: over > ROUNDING ? over : 0,
    wrong: number(
      (decision) => strays(decision) || (isBlind(decision) && isTaken(decision) && onStoreError === 'deny'),
    ),
    under,
    underShare: under === 0 ? 0 : under / (admitted + under),
  }
}

const byKey = ({ key }: Logged) => key
const isTaken = ({ outcome }: Logged) => outcome === 'admitted' || outcome === 'charged'

/** How much can be taken at once. */
function capacityOf({ algorithm, limit, burst = limit }: Rule): number {
  return algorithm === 'token-bucket' ? burst : limit
}

/** The decisions of each count in the order of their time; of one millisecond, what was taken comes first. */
function countsOf(
  decisions: readonly Logged[],
  belongs: (decision: Logged) => boolean,
  nameOf: (of: Logged) => string,
) {
  const counts = Object.values(Object.groupBy(decisions.filter(belongs), nameOf)) as Logged[][]
  return counts.map((count) => count.toSorted((a, b) => a.at - b.at || Number(isTaken(b)) - Number(isTaken(a))))
}

/** The most by which anything taken, in the order of time, goes above `capacity`. */
export function excess(
  taken: readonly Taken[],
  rule: Pick<Rule, 'algorithm' | 'limit' | 'windowMs'>,
  capacity: number,
): number {
  const usage = makeUsage(rule)
  let most = -Infinity
  for (const one of taken) {
    usage.add(one)
    most = Math.max(most, usage.at(one.at) - capacity)
  }
  return most
}

/** How many of the refused could have been admitted too, each of those before counted as if it had been. */
function falseRefusals(count: readonly Logged[], rule: Rule): number {
  const usage = makeUsage(rule)
  const capacity = capacityOf(rule)
  let found = 0
  for (const decision of count) {
    const fits = usage.at(decision.at) + decision.cost <= capacity
    const isFalse = decision.outcome === 'refused' && fits
    if (isFalse) found++
    if (isFalse || isTaken(decision)) usage.add(decision)
  }
  return found
}
