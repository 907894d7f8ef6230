import { distance, remaining, type Interval } from '../../lib/time.ts'
import type { CircuitBreakerConfig } from '../config.ts'

/** The settings of the state machine. Durations in milliseconds, rates in percent. */
export type BreakerSettings = Pick<
  CircuitBreakerConfig,
  'failureRate' | 'slowCallRate' | 'minimumRequests' | 'window' | 'openDuration' | 'maxOpenDuration' | 'halfOpenProbes'
>

/** The results of calls, counted. A failed call may be slow as well. */
export interface CallCounters {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

interface Slot extends CallCounters {
  /** Which tenth of a window, counted from the epoch. */
  readonly nth: number
}

/** The right to send one request through a half-open breaker; when its interval is over another can be granted. */
export interface ProbeLease extends Interval {
  readonly id: string
}

/** A breaker in one of its three states; all times are of the clock of the process that runs it. Plain data, because it is stored. */
export type BreakerState =
  | { readonly state: 'closed'; readonly slots: readonly Slot[] }
  | ({ readonly state: 'open'; readonly openings: number } & Interval)
  | {
      readonly state: 'half-open'
      readonly openings: number
      readonly leases: readonly ProbeLease[]
      readonly passed: number
    }

/** The result of a probe; `void` says nothing of the upstream, and its lease is free again. */
export type ProbeResult = 'passed' | 'failed' | 'void'

/** The state of a breaker at the start, and after enough passed probes: closed, and nothing counted. */
export const CLOSED_BREAKER: BreakerState = { state: 'closed', slots: [] }

/** How long an unspent lease is kept for its isolate, in milliseconds; longer for an isolate that reports larger gaps between its requests. */
export const PROBE_LEASE_MS = 2_000

const SLOTS = 10

/** Counts the calls that a closed breaker admitted, and opens it when they reach a threshold. A late report changes nothing. */
export function countCalls(
  breaker: BreakerState,
  counters: CallCounters,
  settings: BreakerSettings,
  now: number,
): BreakerState {
  if (breaker.state !== 'closed' || counters.calls === 0) return breaker
  const nth = Math.floor((now / settings.window) * SLOTS)
  const recent = breaker.slots.filter((slot) => distance(slot.nth, nth) < SLOTS)
  const last = recent.at(-1)
  const slots =
    last && last.nth >= nth
      ? [...recent.slice(0, -1), { ...add(last, counters), nth: last.nth }]
      : [...recent, { ...counters, nth }]
  return reachesThreshold(sumCounters(slots), settings) ? opened(1, settings, now) : { state: 'closed', slots }
}

/** The sum of `counters`, such as the slots of a closed breaker's window. */
export function sumCounters(counters: readonly CallCounters[]): CallCounters {
  return counters.reduce(add, { calls: 0, failures: 0, slow: 0 })
}

/** Whether these calls open the breaker. */
export function reachesThreshold({ calls, failures, slow }: CallCounters, settings: BreakerSettings): boolean {
  if (calls < settings.minimumRequests) return false
  return failures * 100 >= settings.failureRate * calls || slow * 100 >= settings.slowCallRate * calls
}

/** Grants the lease `id` when the open time is over and fewer than `halfOpenProbes` are out; the result holds it if it was granted. */
export function grantLease(
  breaker: BreakerState,
  id: string,
  settings: BreakerSettings,
  now: number,
  ms = PROBE_LEASE_MS,
): BreakerState {
  const granted = { id, since: now, ms }
  switch (breaker.state) {
    case 'closed':
      return breaker
    case 'open':
      if (remaining(breaker, now) > 0) return breaker
      return { state: 'half-open', openings: breaker.openings, leases: [granted], passed: 0 }
    case 'half-open': {
      const leases = breaker.leases.filter((lease) => remaining(lease, now) > 0)
      const free = leases.length + breaker.passed < settings.halfOpenProbes
      return { ...breaker, leases: free ? [...leases, granted] : leases }
    }
  }
}

/** Extends a spent lease for the time `ms` that its request may take, in milliseconds. */
export function extendLease(breaker: BreakerState, id: string, ms: number, now: number): BreakerState {
  if (breaker.state !== 'half-open') return breaker
  return { ...breaker, leases: withSpent(breaker.leases, id, ms, now) }
}

/** These leases, with the spent lease `id` extended for the time `ms` that its request may take, in milliseconds. */
export function withSpent(leases: readonly ProbeLease[], id: string, ms: number, now: number): ProbeLease[] {
  return leases.map((lease) => (lease.id === id ? { id, since: now, ms: ms + PROBE_LEASE_MS } : lease))
}

/** Returns a lease with the result of its request: `failed` opens the breaker again for longer, enough `passed` close it. */
export function settleLease(
  breaker: BreakerState,
  id: string,
  result: ProbeResult,
  settings: BreakerSettings,
  now: number,
): BreakerState {
  if (breaker.state !== 'half-open' || !breaker.leases.some((lease) => lease.id === id)) return breaker
  if (result === 'failed') return opened(breaker.openings + 1, settings, now)
  const passed = breaker.passed + (result === 'passed' ? 1 : 0)
  if (passed >= settings.halfOpenProbes) return CLOSED_BREAKER
  return { ...breaker, passed, leases: breaker.leases.filter((lease) => lease.id !== id) }
}

/** A breaker without its counters: how long it stays open in milliseconds, 0 unless it is open, and how often it opened in a row. */
export interface BreakerStatus {
  readonly state: BreakerState['state']
  readonly forMs: number
  readonly openings: number
}

/** The status of a breaker, for other objects and operators. */
export function statusOf(breaker: BreakerState, now: number): BreakerStatus {
  if (breaker.state === 'closed') return { state: 'closed', forMs: 0, openings: 0 }
  const forMs = breaker.state === 'open' ? remaining(breaker, now) : 0
  return { state: breaker.state, forMs, openings: breaker.openings }
}

function opened(openings: number, settings: BreakerSettings, now: number): BreakerState {
  const ms = Math.min(settings.maxOpenDuration, settings.openDuration * 2 ** (openings - 1))
  return { state: 'open', since: now, ms, openings }
}

function add(a: CallCounters, b: CallCounters): CallCounters {
  return { calls: a.calls + b.calls, failures: a.failures + b.failures, slow: a.slow + b.slow }
}
