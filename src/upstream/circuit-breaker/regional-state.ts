import { remaining, type Interval } from '../../lib/time.ts'
import type { ForcedState, GlobalUpdate } from './api.ts'
import { applyCounts, updateOf, type BreakerUpdate } from './breaker-report.ts'
import { CLOSED_BREAKER, grantLease, settleLease, type BreakerSettings, type BreakerState } from './breaker-state.ts'

/** The state of one upstream in one region. Plain data, because it is stored. */
export interface RegionalState {
  /** The breaker of this region's own calls. */
  readonly own: BreakerState
  /** How long all regions stay open, while most of them are; undefined otherwise. */
  readonly everywhere: Interval | undefined
  /** The rest of the last global update. A forced state holds also while the global state is unreachable. */
  readonly forced: ForcedState
  readonly drained: readonly string[]
  readonly rev: number
  readonly closing: number
}

/** A region before its first report: closed, and deciding for itself until it receives a global update. */
export const NEW_REGIONAL_STATE: RegionalState = {
  own: CLOSED_BREAKER,
  everywhere: undefined,
  forced: null,
  drained: [],
  rev: 0,
  closing: 0,
}

/** Applies an isolate's report. A forced breaker counts nothing. */
export function applyBreakerReport(
  region: RegionalState,
  report: Parameters<typeof applyCounts>[1],
  now: number,
): RegionalState {
  const own = region.forced === null ? applyCounts(region.own, report, now) : region.own
  return own === region.own ? region : { ...region, own }
}

/** Reserves the lease `id` in this region's own breaker where that may be probed; `holdsLease` tells whether it did. */
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

/** Returns a reserved lease unused. */
export function releaseLease(region: RegionalState, id: string, settings: BreakerSettings, now: number): RegionalState {
  return { ...region, own: settleLease(region.own, id, 'void', settings, now) }
}

/** Whether `id` is a lease of this region's own breaker: `reserveLease` found room for it. */
export function holdsLease({ own }: RegionalState, id: string): boolean {
  return own.state === 'half-open' && own.leases.some((lease) => lease.id === id)
}

/** Whether only the global state can grant a probe now. */
export function mayProbeGlobally({ forced, everywhere }: RegionalState, now: number): boolean {
  return forced === null && everywhere !== undefined && remaining(everywhere, now) === 0
}

/** Applies a global update; one that is older than the last is ignored. */
export function applyGlobalUpdate(region: RegionalState, update: GlobalUpdate, now: number): RegionalState {
  const { rev, closing, forced, drained, everywhere } = update
  if (rev < region.rev) return region
  const own = closing > region.closing ? CLOSED_BREAKER : region.own
  const interval = everywhere && { since: now, ms: everywhere.forMs }
  // The region's own breaker takes over the openings of all, so that its back-off continues when it decides for itself again.
  const shared: BreakerState =
    everywhere && rev > region.rev && own.state !== 'closed'
      ? { state: 'open', since: now, ms: everywhere.forMs, openings: everywhere.openings }
      : own
  return { own: shared, everywhere: interval, forced, drained, rev, closing }
}

/** The region while the global state is unreachable: it decides alone, but a forced state holds. */
export function withoutGlobalState(region: RegionalState): RegionalState {
  return region.everywhere === undefined ? region : { ...region, everywhere: undefined }
}

/** The update for an isolate. `granted` is a lease that the global state has granted for all regions, `reserved` one of this region's own. */
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

/** Whether the difference must survive a crash: everything but the counters of a closed breaker. */
export function mustStoreRegional(before: RegionalState, after: RegionalState): boolean {
  const onlyCounted = before.own.state === 'closed' && after.own.state === 'closed'
  return before.rev !== after.rev || (!onlyCounted && before.own !== after.own)
}
