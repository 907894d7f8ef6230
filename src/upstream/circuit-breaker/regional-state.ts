import { applyCounts, updateOf, type BreakerUpdate } from './breaker-report.ts'
import { CLOSED_BREAKER, grantLease, settleLease, type BreakerState, type BreakerSettings } from './breaker-state.ts'
import { remaining, type Interval } from '../../lib/time.ts'
import type { ForcedState, BreakerStatus, GlobalUpdate } from './global-state.ts'

/** One upstream as one region knows it. Plain data: it is stored. */
export interface RegionalState {
  /** What this region's own calls say. */
  readonly own: BreakerState
  /** While most regions are open: how long all of them stay so. */
  readonly everywhere: Interval | undefined
  /** The rest of what the world's object told last. An operator's word stands also while that is out of reach. */
  readonly forced: ForcedState
  readonly drained: readonly string[]
  readonly rev: number
  readonly closing: number
}

/** A region before its first report: closed, and left to itself until the world's object tells it anything. */
export const NEW_REGIONAL_STATE: RegionalState = {
  own: CLOSED_BREAKER,
  everywhere: undefined,
  forced: null,
  drained: [],
  rev: 0,
  closing: 0,
}

/** Counts what an isolate reports. A breaker that is forced counts nothing. */
export function applyBreakerReport(
  region: RegionalState,
  report: Parameters<typeof applyCounts>[1],
  now: number,
): RegionalState {
  const own = region.forced === null ? applyCounts(region.own, report, now) : region.own
  return own === region.own ? region : { ...region, own }
}

/** Takes the lease `id` out of this region's own circuit where that may be probed; look for it with `holds`. */
export function reserveLease(
  region: RegionalState,
  id: string,
  settings: BreakerSettings,
  now: number,
  ms?: number,
): RegionalState {
  if (region.forced !== null || region.everywhere !== undefined) return region
  return { ...region, own: grantLease(region.own, id, settings, now, ms) }
}

/** Gives a reserved lease back. */
export function releaseLease(region: RegionalState, id: string, settings: BreakerSettings, now: number): RegionalState {
  return { ...region, own: settleLease(region.own, id, 'void', settings, now) }
}

/** Whether `id` is a lease of this region's own circuit: `reserve` had room for it. */
export function holdsLease({ own }: RegionalState, id: string): boolean {
  return own.state === 'half-open' && own.leases.some((held) => held.id === id)
}

/** Whether the world's object alone can say if a probe may be sent now. */
export function mayProbeGlobally({ forced, everywhere }: RegionalState, now: number): boolean {
  return forced === null && everywhere !== undefined && remaining(everywhere, now) === 0
}

/** Takes the world's word; what is older than the last is passed over. */
export function applyGlobalUpdate(region: RegionalState, news: GlobalUpdate, now: number): RegionalState {
  const { rev, closing, forced, drained, everywhere } = news
  if (rev < region.rev) return region
  const own = closing > region.closing ? CLOSED_BREAKER : region.own
  const term = everywhere && { since: now, ms: everywhere.forMs }
  // Its own circuit opens as often and as long as all, so that the back-off goes on when this region is left to itself.
  const together: BreakerState =
    everywhere && rev > region.rev && own.state !== 'closed'
      ? { state: 'open', since: now, ms: everywhere.forMs, openings: everywhere.openings }
      : own
  return { own: together, everywhere: term, forced, drained, rev, closing }
}

/** The region while the world's object is out of reach: it decides alone, but an operator's word stands. */
export function withoutGlobalState(region: RegionalState): RegionalState {
  return region.everywhere === undefined ? region : { ...region, everywhere: undefined }
}

/** What an isolate is told; `lease` is one that the world's object granted for all. */
export function regionalUpdateOf(
  region: RegionalState,
  settings: BreakerSettings | undefined,
  { reserved, granted }: { readonly reserved: string; readonly granted: string | undefined },
  now: number,
): BreakerUpdate {
  if (settings === undefined) return { state: 'closed' }
  switch (region.forced) {
    case 'closed':
      return { state: 'closed', forced: true }
    case 'open':
      return { state: 'open', forMs: settings.openDuration, forced: true }
    case null: {
      if (region.everywhere === undefined) return updateOf(region.own, settings, reserved, now)
      const forMs = Math.min(remaining(region.everywhere, now), settings.maxOpenDuration)
      return granted === undefined ? { state: 'open', forMs } : { state: 'open', forMs, lease: granted }
    }
  }
}

/** How a circuit stands, as other objects and operators are told. */
export function statusOf(circuit: BreakerState, now: number): BreakerStatus {
  if (circuit.state === 'closed') return { state: 'closed', forMs: 0, openings: 0 }
  const forMs = circuit.state === 'open' ? remaining(circuit, now) : 0
  return { state: circuit.state, forMs, openings: circuit.openings }
}

/** Whether the difference outlives a crash: all of it but what a closed circuit has counted. */
export function mustStoreRegional(before: RegionalState, after: RegionalState): boolean {
  const counted = before.own.state === 'closed' && after.own.state === 'closed'
  return before.rev !== after.rev || (!counted && before.own !== after.own)
}
