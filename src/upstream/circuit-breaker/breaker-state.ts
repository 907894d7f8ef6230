import type { CircuitBreakerConfig } from '../config.ts'
import { remaining, type Interval } from '../../lib/time.ts'

/** What the machine needs of the configuration. Durations in milliseconds, rates in percent. */
export type BreakerSettings = Pick<
  CircuitBreakerConfig,
  'failureRate' | 'slowCallRate' | 'minimumRequests' | 'window' | 'openDuration' | 'maxOpenDuration' | 'halfOpenProbes'
>

/** How calls went, counted together. A failed call may be slow as well. */
export interface CallCounters {
  readonly calls: number
  readonly failures: number
  readonly slow: number
}

interface Slot extends CallCounters {
  /** Which tenth of a window, counted from the epoch. */
  readonly nth: number
}

/** The right to send one request through a half-open circuit; once its term is over it can be given to another. */
export interface ProbeLease extends Interval {
  readonly id: string
}

/** A circuit in one of its three states; all times are those of whoever runs the machine. Plain data: it is stored. */
export type BreakerState =
  | { readonly state: 'closed'; readonly slots: readonly Slot[] }
  | ({ readonly state: 'open'; readonly openings: number } & Interval)
  | {
      readonly state: 'half-open'
      readonly openings: number
      readonly leases: readonly ProbeLease[]
      readonly passed: number
    }

/** What a probe says of the upstream; `void` is nothing, and its lease is free for another. */
export type ProbeResult = 'passed' | 'failed' | 'void'

/** Lets all calls through and has counted none: how a circuit begins, and begins anew after enough good probes. */
export const CLOSED_BREAKER: BreakerState = { state: 'closed', slots: [] }

/** How long a lease that nobody has spent is kept for whom it was given to, in milliseconds; longer for an isolate that says its requests are further apart. */
export const PROBE_LEASE_MS = 2_000

const SLOTS = 10

/** Counts calls that a closed circuit let through, and opens it when they reach a threshold. Late news changes nothing. */
export function countCalls(
  circuit: BreakerState,
  counters: CallCounters,
  settings: BreakerSettings,
  now: number,
): BreakerState {
  if (circuit.state !== 'closed' || counters.calls === 0) return circuit
  const nth = Math.floor((now / settings.window) * SLOTS)
  const recent = circuit.slots.filter((slot) => Math.abs(slot.nth - nth) < SLOTS)
  const last = recent.at(-1)
  const slots =
    last && last.nth >= nth
      ? [...recent.slice(0, -1), { ...add(last, counters), nth: last.nth }]
      : [...recent, { ...counters, nth }]
  return reachesThreshold(sumCounters(slots), settings) ? opened(1, settings, now) : { state: 'closed', slots }
}

/** What a closed circuit has counted in its window. */
export function sumCounters(tallies: readonly CallCounters[]): CallCounters {
  return tallies.reduce(add, { calls: 0, failures: 0, slow: 0 })
}

/** Whether a window of these calls opens the circuit. */
export function reachesThreshold({ calls, failures, slow }: CallCounters, settings: BreakerSettings): boolean {
  if (calls < settings.minimumRequests) return false
  return failures * 100 >= settings.failureRate * calls || slow * 100 >= settings.slowCallRate * calls
}

/** Gives out a lease named `id` when the open time is over and fewer are out than may probe; look for it in the result. */
export function grantLease(
  circuit: BreakerState,
  id: string,
  settings: BreakerSettings,
  now: number,
  ms = PROBE_LEASE_MS,
): BreakerState {
  const given = { id, since: now, ms }
  switch (circuit.state) {
    case 'closed':
      return circuit
    case 'open':
      if (remaining(circuit, now) > 0) return circuit
      return { state: 'half-open', openings: circuit.openings, leases: [given], passed: 0 }
    case 'half-open': {
      const leases = circuit.leases.filter((other) => remaining(other, now) > 0)
      const free = leases.length + circuit.passed < settings.halfOpenProbes
      return { ...circuit, leases: free ? [...leases, given] : leases }
    }
  }
}

/** Keeps a lease for as long as the request that spends it may take, in milliseconds. */
export function extendLease(circuit: BreakerState, id: string, ms: number, now: number): BreakerState {
  if (circuit.state !== 'half-open') return circuit
  const leases = circuit.leases.map((held) => (held.id === id ? { id, since: now, ms: ms + PROBE_LEASE_MS } : held))
  return { ...circuit, leases }
}

/** Takes a lease back with what its request found: `failed` opens again for longer, enough that `passed` close. */
export function settleLease(
  circuit: BreakerState,
  id: string,
  result: ProbeResult,
  settings: BreakerSettings,
  now: number,
): BreakerState {
  if (circuit.state !== 'half-open' || !circuit.leases.some((held) => held.id === id)) return circuit
  if (result === 'failed') return opened(circuit.openings + 1, settings, now)
  const passed = circuit.passed + (result === 'passed' ? 1 : 0)
  if (passed >= settings.halfOpenProbes) return CLOSED_BREAKER
  return { ...circuit, passed, leases: circuit.leases.filter((held) => held.id !== id) }
}

function opened(openings: number, settings: BreakerSettings, now: number): BreakerState {
  const ms = Math.min(settings.maxOpenDuration, settings.openDuration * 2 ** (openings - 1))
  return { state: 'open', since: now, ms, openings }
}

function add(a: CallCounters, b: CallCounters): CallCounters {
  return { calls: a.calls + b.calls, failures: a.failures + b.failures, slow: a.slow + b.slow }
}
