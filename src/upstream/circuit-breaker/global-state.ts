import type { Region } from '../../core/region.ts'
import { remaining, type Interval } from '../../lib/time.ts'
import type { ForcedState, GlobalUpdate, OperatorOrder, RegionReport } from './api.ts'
import type { ProbeReport } from './breaker-report.ts'
import {
  CLOSED_BREAKER,
  extendLease,
  grantLease,
  PROBE_LEASE_MS,
  settleLease,
  statusOf,
  withSpent,
  type BreakerSettings,
  type BreakerState,
  type BreakerStatus,
  type ProbeLease,
} from './breaker-state.ts'

interface ReportedRegion extends Interval {
  readonly region: Region
  readonly state: BreakerState['state']
  readonly openings: number
  /** When its report was received, and how long that report counts. The region's own interval is how long it stays open. */
  readonly reported: Interval
}

/** The state that the regions of one upstream share. Plain data, because it is stored. */
export interface GlobalState {
  readonly upstream: string | undefined
  readonly rev: number
  readonly forced: ForcedState
  readonly drained: readonly string[]
  readonly closing: number
  /** The breaker of all regions while most of them are open; closed while each decides for itself. */
  readonly breaker: BreakerState
  /** The probe leases that are out, of all regions. */
  readonly leases: readonly ProbeLease[]
  readonly regions: readonly ReportedRegion[]
}

/** The state before the first report: nothing is forced or drained, and each region decides for itself. */
export const NEW_GLOBAL_STATE: GlobalState = {
  upstream: undefined,
  rev: 0,
  forced: null,
  drained: [],
  closing: 0,
  breaker: CLOSED_BREAKER,
  leases: [],
  regions: [],
}

/** The least time for which a report counts, in milliseconds; a region reports once a second. */
const LEAST_WINDOW_MS = 3_000

/** Applies the report of a region; returns the next state and the update for that region. */
export function applyRegionReport(state: GlobalState, report: RegionReport, now: number): [GlobalState, GlobalUpdate] {
  const { settings, wants, leaseMs = PROBE_LEASE_MS, spent = [], probes = [] } = report
  let next = withRegion(state, report, now)
  for (const { lease, ms } of spent) next = extendSpent(next, lease, ms, now)
  if (settings) for (const probe of probes) next = settleProbe(next, probe, settings, now)
  next = shareBreaker(next, now)
  if (!settings || wants === undefined) return reviseAndUpdate(state, next, now)
  const after = grantShared(next, wants, leaseMs, settings, now)
  return reviseAndUpdate(state, after ?? next, now, after !== undefined)
}

/** Applies the order of an operator. Returns the same object when the order changes nothing. */
export function applyOrder(state: GlobalState, order: OperatorOrder, now: number): GlobalState {
  const { drained } = state
  if ('drain' in order) {
    if (drained.includes(order.drain)) return state
    return withRevision(state, { ...state, drained: [...drained, order.drain].toSorted() }, now)
  }
  if ('restore' in order) {
    if (!drained.includes(order.restore)) return state
    return withRevision(state, { ...state, drained: drained.filter((label) => label !== order.restore) }, now)
  }
  if (order.force === state.forced) return state
  const forced = { ...state, forced: order.force }
  // Otherwise an old opening would return when a breaker that was forced closed is released.
  return withRevision(state, order.force === 'closed' ? closeAll(forced, now) : forced, now)
}

/** Whether more than half of the active regions are open, and at least two; half-open counts as open. */
export function isOpenEverywhere(state: Pick<GlobalState, 'regions'>, now: number): boolean {
  const active = state.regions.filter((region) => isActiveRegion(region, now))
  const open = active.filter((region) => region.state !== 'closed')
  return open.length >= 2 && open.length * 2 > active.length
}

/** Whether a region has reported within its window. */
export function isActiveRegion({ reported }: Pick<ReportedRegion, 'reported'>, now: number): boolean {
  return remaining(reported, now) > 0
}

/** The update that regions receive; durations are as of `now`. */
export function globalUpdateOf({ rev, forced, drained, closing, breaker }: GlobalState, now: number): GlobalUpdate {
  const update = { rev, forced, drained, closing }
  if (breaker.state === 'closed') return update
  const { forMs, openings } = statusOf(breaker, now)
  return { ...update, everywhere: { forMs, openings } }
}

/** Whether the difference must survive a crash: everything but the times of reports. */
export function mustStoreGlobal(before: GlobalState, after: GlobalState): boolean {
  return (
    before.rev !== after.rev ||
    before.upstream !== after.upstream ||
    before.leases !== after.leases ||
    before.regions.length !== after.regions.length ||
    before.regions.some(({ region, state }) => after.regions.find((other) => other.region === region)?.state !== state)
  )
}

function withRegion(
  before: GlobalState,
  { upstream, region, own, closing, settings }: RegionReport,
  now: number,
): GlobalState {
  // A report from before the last closing is outdated: that closed the region's breaker too.
  const { state, forMs, openings } = closing < before.closing ? CLOSED_STATUS : own
  const window = Math.max(settings?.window ?? 0, LEAST_WINDOW_MS)
  const reported: ReportedRegion = {
    region,
    state,
    openings,
    since: now,
    ms: forMs,
    reported: { since: now, ms: window },
  }
  return { ...before, upstream, regions: [...before.regions.filter((other) => other.region !== region), reported] }
}

const CLOSED_STATUS: BreakerStatus = { state: 'closed', forMs: 0, openings: 0 }

function extendSpent(state: GlobalState, id: string, ms: number, now: number): GlobalState {
  return { ...state, leases: withSpent(state.leases, id, ms, now), breaker: extendLease(state.breaker, id, ms, now) }
}

function settleProbe(
  state: GlobalState,
  { lease, result }: ProbeReport,
  settings: BreakerSettings,
  now: number,
): GlobalState {
  const breaker = settleLease(state.breaker, lease, result, settings, now)
  const next = { ...state, breaker, leases: state.leases.filter((other) => other.id !== lease) }
  return breaker.state === 'closed' && state.breaker.state !== 'closed' ? closeAll(next, now) : next
}

function closeAll(state: GlobalState, now: number): GlobalState {
  const regions = state.regions.map((region) => ({ ...region, state: 'closed' as const, ms: 0, openings: 0 }))
  return { ...state, breaker: CLOSED_BREAKER, regions, closing: nextRev(state, now) }
}

/** Opens the shared breaker while most regions are open, with the longest time and the most openings among them; closes it otherwise. */
function shareBreaker(state: GlobalState, now: number): GlobalState {
  const closed = state.breaker.state === 'closed'
  if (closed !== isOpenEverywhere(state, now)) return state
  if (!closed) return { ...state, breaker: CLOSED_BREAKER }
  const open = state.regions.filter((region) => region.state !== 'closed' && isActiveRegion(region, now))
  const ms = Math.max(...open.map((region) => remaining(region, now)))
  const openings = Math.max(...open.map((region) => region.openings))
  return { ...state, breaker: { state: 'open', since: now, ms, openings } }
}

/** Grants the lease `id`; undefined when as many are out as may be, or when no probe may be sent. */
function grantShared(
  state: GlobalState,
  id: string,
  ms: number,
  settings: BreakerSettings,
  now: number,
): GlobalState | undefined {
  const leases = state.leases.filter((lease) => remaining(lease, now) > 0)
  if (state.forced !== null || leases.length >= settings.halfOpenProbes) return undefined
  const breaker = grantLease(state.breaker, id, settings, now, ms)
  if (breaker.state === 'open') return undefined
  if (breaker.state === 'half-open' && !breaker.leases.some((lease) => lease.id === id)) return undefined
  return { ...state, breaker, leases: [...leases, { id, since: now, ms }] }
}

function reviseAndUpdate(
  before: GlobalState,
  after: GlobalState,
  now: number,
  granted?: boolean,
): [GlobalState, GlobalUpdate] {
  const state = withRevision(before, after, now)
  const update = globalUpdateOf(state, now)
  return [state, granted === undefined ? update : { ...update, granted }]
}

/** Gives a new `rev` to a change that regions must receive. */
function withRevision(before: GlobalState, after: GlobalState, now: number): GlobalState {
  const isSame =
    before.forced === after.forced &&
    before.drained === after.drained &&
    before.closing === after.closing &&
    openingsOf(before) === openingsOf(after)
  return isSame ? after : { ...after, rev: nextRev(before, now) }
}

/** Changes whenever the shared breaker closes, opens, or opens again. */
function openingsOf({ breaker }: GlobalState): number {
  return breaker.state === 'closed' ? 0 : breaker.openings
}

/** The next `rev`, derived from the time: regions still accept updates after a loss of storage. */
function nextRev({ rev }: GlobalState, now: number): number {
  return Math.max(rev + 1, now)
}
