import type { Region } from '../../core/region.ts'
import type { ProbeReport, SpentLease } from './breaker-report.ts'
import {
  CLOSED_BREAKER,
  extendLease,
  grantLease,
  PROBE_LEASE_MS,
  settleLease,
  type BreakerState,
  type BreakerSettings,
  type ProbeLease,
} from './breaker-state.ts'
import { remaining, type Interval } from '../../lib/time.ts'

/** The version of `RegionReport` and `WorldNews`. */
export const GLOBAL_PROTOCOL = 1

/** What an operator made of the breaker; null lets it decide. */
export type ForcedState = 'open' | 'closed' | null

/** What an operator changes. Targets go by their labels; `force: null` lets the breaker decide again. */
export type OperatorOrder = { readonly force: ForcedState } | { readonly drain: string } | { readonly restore: string }

/** How a circuit stands, without what it has counted: how long it stays open, 0 unless it is, and how often it has opened in a row. */
export interface BreakerStatus {
  readonly state: BreakerState['state']
  readonly forMs: number
  readonly openings: number
}

/** What a region's object tells. */
export interface RegionReport {
  readonly upstream: string
  readonly region: Region
  readonly own: BreakerStatus
  /** The last `WorldNews.closing` that it heard of: what it says of itself is older than the next. */
  readonly closing: number
  readonly settings: BreakerSettings | undefined
  /** The lease that it would give out. */
  readonly wants?: string
  /** How long it is to be kept unspent, in milliseconds; absent for `LEASE_MS`. */
  readonly leaseMs?: number
  readonly spent?: readonly SpentLease[]
  readonly probes?: readonly ProbeReport[]
}

/** What it learns. */
export interface GlobalUpdate {
  /** Larger with each change, also after a loss of storage. */
  readonly rev: number
  readonly forced: ForcedState
  readonly drained: readonly string[]
  /** While most regions are open; absent while each decides for itself. */
  readonly everywhere?: Pick<BreakerStatus, 'forMs' | 'openings'>
  /** The `rev` at which every region's circuit was last closed, by a probe that speaks for all or by an operator. */
  readonly closing: number
  /** Whether the lease that was wanted may be given out. */
  readonly granted?: boolean
}

interface Heard extends Interval {
  readonly region: Region
  readonly state: BreakerState['state']
  readonly openings: number
  /** Its term is what it stays open; this is when it was heard and how long that counts. */
  readonly heard: Interval
}

/** One upstream as the whole world knows it. Plain data: it is stored. */
export interface GlobalState {
  readonly upstream: string | undefined
  readonly rev: number
  readonly forced: ForcedState
  readonly drained: readonly string[]
  readonly closing: number
  /** The circuit that all regions share while most of them are open; closed while each decides for itself. */
  readonly breaker: BreakerState
  /** Every probe's lease that is out, whichever region gave it. */
  readonly leases: readonly ProbeLease[]
  readonly regions: readonly Heard[]
}

/** A world that no region has reported to: nothing is forced or drained, and each region decides for itself. */
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

/** The least time for which a region's word counts, in milliseconds: it reports once a second. */
const LEAST_WINDOW_MS = 3_000

/** Takes a region's report: the world after it, and what the region is to know. */
export function applyRegionReport(world: GlobalState, report: RegionReport, now: number): [GlobalState, GlobalUpdate] {
  const { settings, wants, leaseMs = PROBE_LEASE_MS, spent = [], probes = [] } = report
  let next = note(world, report, now)
  for (const { lease, ms } of spent) next = keep(next, lease, ms, now)
  if (settings) for (const probe of probes) next = conclude(next, probe, settings, now)
  next = govern(next, now)
  if (!settings || wants === undefined) return revise(world, next, now)
  const given = grant(next, wants, leaseMs, settings, now)
  return revise(world, given ?? next, now, given !== undefined)
}

/** The world after an operator's order. The same object when the order changes nothing. */
export function applyOrder(world: GlobalState, order: OperatorOrder, now: number): GlobalState {
  const { drained } = world
  if ('drain' in order) {
    if (drained.includes(order.drain)) return world
    return revised(world, { ...world, drained: [...drained, order.drain].toSorted() }, now)
  }
  if ('restore' in order) {
    if (!drained.includes(order.restore)) return world
    return revised(world, { ...world, drained: drained.filter((label) => label !== order.restore) }, now)
  }
  if (order.force === world.forced) return world
  const forced = { ...world, forced: order.force }
  // So that the release of a breaker that was forced closed does not bring an old opening back.
  return revised(world, order.force === 'closed' ? closeAll(forced, now) : forced, now)
}

/** Whether more than half of the regions heard of late are open, and at least two; a half-open one is not closed yet. */
export function isOpenEverywhere(world: Pick<GlobalState, 'regions'>, now: number): boolean {
  const active = world.regions.filter((region) => isActiveRegion(region, now))
  const open = active.filter(({ state }) => state !== 'closed')
  return open.length >= 2 && open.length * 2 > active.length
}

/** Whether a region was heard of within its window. */
export function isActiveRegion({ heard }: Pick<Heard, 'heard'>, now: number): boolean {
  return remaining(heard, now) > 0
}

/** What regions are told of this world. */
export function globalUpdateOf(
  { rev, forced, drained, closing, breaker: circuit }: GlobalState,
  now: number,
): GlobalUpdate {
  const news = { rev, forced, drained, closing }
  if (circuit.state === 'closed') return news
  const forMs = circuit.state === 'open' ? remaining(circuit, now) : 0
  return { ...news, everywhere: { forMs, openings: circuit.openings } }
}

/** Whether the difference outlives a crash: all of it but when regions were heard. */
export function mustStoreGlobal(before: GlobalState, after: GlobalState): boolean {
  return (
    before.rev !== after.rev ||
    before.upstream !== after.upstream ||
    before.leases !== after.leases ||
    before.regions.length !== after.regions.length ||
    before.regions.some(({ region, state }) => after.regions.find((one) => one.region === region)?.state !== state)
  )
}

function note(
  world: GlobalState,
  { upstream, region, own, closing, settings }: RegionReport,
  now: number,
): GlobalState {
  // What it says of itself it said before it heard that all are closed.
  const { state, forMs, openings } = closing < world.closing ? CLOSED_STANDING : own
  const window = Math.max(settings?.window ?? 0, LEAST_WINDOW_MS)
  const heard: Heard = { region, state, openings, since: now, ms: forMs, heard: { since: now, ms: window } }
  return { ...world, upstream, regions: [...world.regions.filter((other) => other.region !== region), heard] }
}

const CLOSED_STANDING: BreakerStatus = { state: 'closed', forMs: 0, openings: 0 }

function keep(world: GlobalState, id: string, ms: number, now: number): GlobalState {
  const leases = world.leases.map((held) => (held.id === id ? { id, since: now, ms: ms + PROBE_LEASE_MS } : held))
  return { ...world, leases, breaker: extendLease(world.breaker, id, ms, now) }
}

function conclude(
  world: GlobalState,
  { lease, result }: ProbeReport,
  settings: BreakerSettings,
  now: number,
): GlobalState {
  const circuit = settleLease(world.breaker, lease, result, settings, now)
  const next = { ...world, breaker: circuit, leases: world.leases.filter((held) => held.id !== lease) }
  return circuit.state === 'closed' && world.breaker.state !== 'closed' ? closeAll(next, now) : next
}

function closeAll(world: GlobalState, now: number): GlobalState {
  const regions = world.regions.map((region) => ({ ...region, state: 'closed' as const, ms: 0, openings: 0 }))
  return { ...world, breaker: CLOSED_BREAKER, regions, closing: nextRev(world, now) }
}

/** Makes one circuit of all while most are open, for as long and as often opened as the worst of them; lets go when they are not. */
function govern(world: GlobalState, now: number): GlobalState {
  const closed = world.breaker.state === 'closed'
  if (closed !== isOpenEverywhere(world, now)) return world
  if (!closed) return { ...world, breaker: CLOSED_BREAKER }
  const open = world.regions.filter((region) => region.state !== 'closed' && isActiveRegion(region, now))
  const ms = Math.max(...open.map((region) => remaining(region, now)))
  const openings = Math.max(...open.map((region) => region.openings))
  return { ...world, breaker: { state: 'open', since: now, ms, openings } }
}

/** Undefined when as many probes as may are under way, or when none may be. */
function grant(
  world: GlobalState,
  id: string,
  ms: number,
  settings: BreakerSettings,
  now: number,
): GlobalState | undefined {
  const leases = world.leases.filter((held) => remaining(held, now) > 0)
  if (world.forced !== null || leases.length >= settings.halfOpenProbes) return undefined
  const circuit = grantLease(world.breaker, id, settings, now, ms)
  if (circuit.state === 'open') return undefined
  if (circuit.state === 'half-open' && !circuit.leases.some((held) => held.id === id)) return undefined
  return { ...world, breaker: circuit, leases: [...leases, { id, since: now, ms }] }
}

function revise(before: GlobalState, after: GlobalState, now: number, granted?: boolean): [GlobalState, GlobalUpdate] {
  const world = revised(before, after, now)
  const news = globalUpdateOf(world, now)
  return [world, granted === undefined ? news : { ...news, granted }]
}

/** Numbers what regions have to hear of. */
function revised(before: GlobalState, after: GlobalState, now: number): GlobalState {
  const same =
    before.forced === after.forced &&
    before.drained === after.drained &&
    before.closing === after.closing &&
    openingsOf(before) === openingsOf(after)
  return same ? after : { ...after, rev: nextRev(before, now) }
}

/** Changes whenever the shared circuit closes, opens, or opens again. */
function openingsOf({ breaker: circuit }: GlobalState): number {
  return circuit.state === 'closed' ? 0 : circuit.openings
}

/** Of the time, so that a world that lost its storage is still believed. */
function nextRev({ rev }: GlobalState, now: number): number {
  return Math.max(rev + 1, now)
}
