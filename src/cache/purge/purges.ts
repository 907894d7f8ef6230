import type { StoredHead } from '../http/entry.ts'

/** The kinds that a row can have; one of another kind, from a later release, is read as a purge of everything. */
export const PURGE_KINDS = ['tag', 'url', 'prefix', 'all'] as const
/** `url` without a query means all queries of its path. `prefix` is of `StoredHead.url`. The value of `all` is `''`. */
export type PurgeKind = (typeof PURGE_KINDS)[number]

/** From mild to strict; a row with any other mode is read as a `hard` purge of everything. */
export const PURGE_MODES = ['soft', 'validate', 'hard'] as const
/** `soft` makes stale, `validate` forbids reuse before the origin has confirmed it (RFC 9111 §4.4), `hard` removes. */
export type PurgeMode = (typeof PURGE_MODES)[number]

/** What is to be purged: whatever was asked of the origin up to the moment in which the store takes the order. */
export interface PurgeOrder {
  readonly kind: PurgeKind
  readonly value: string
  readonly mode: PurgeMode
}

/** A purge that was made. `at`: epoch milliseconds by the store's clock, where no two are the same. */
export interface Purge extends PurgeOrder {
  readonly at: number
}

/**
 * How a stored answer stands. `validate`: the origin has to confirm it before it is used, and no stale copy may stand in for it. A number:
 * stale since then, epoch milliseconds.
 */
export type PurgeStatus = 'live' | 'validate' | 'gone' | number

/** All purges as one isolate knows them. */
export interface Purged {
  readonly add: (purge: Purge) => void
  readonly standing: (head: Pick<StoredHead, 'requestTime' | 'url' | 'tags'>) => PurgeStatus
  /** Tags, URLs and prefixes held. */
  readonly size: () => number
}

/** Until when each mode reaches, epoch milliseconds, by its place in PURGE_MODES. */
type Reach = [soft: number, validate: number, hard: number]

/** Prefixes are compared one by one. */
const BOUNDS = { tag: 10_000, url: 10_000, prefix: 256 }

/** What goes beyond the bounds, the oldest first, becomes a purge of everything up to its time: nothing that was purged ever comes back. */
export function makePurged(bounds: Readonly<Record<keyof typeof BOUNDS, number>> = BOUNDS): Purged {
  const all = nowhere()
  const known = { tag: new Map<string, Reach>(), url: new Map<string, Reach>(), prefix: new Map<string, Reach>() }
  let newest = -Infinity

  return {
    add({ kind, value, mode, at }) {
      newest = Math.max(newest, at)
      if (kind === 'all') return raise(all, mode, at)
      const reaches = known[kind]
      const reach = reaches.get(value) ?? nowhere()
      raise(reach, mode, at)
      // The oldest stand first.
      reaches.delete(value)
      reaches.set(value, reach)
      if (reaches.size <= bounds[kind]) return
      const [forgotten, [soft, validate, hard]] = reaches.entries().next().value!
      reaches.delete(forgotten)
      raise(all, 'soft', soft)
      raise(all, forgottenMode('hard'), Math.max(validate, hard))
    },
    standing({ requestTime, url, tags }) {
      if (requestTime > newest) return 'live'
      const query = url.indexOf('?')
      const reaches = [all, known.url.get(url), query === -1 ? undefined : known.url.get(url.slice(0, query))]
      for (const tag of tags) reaches.push(known.tag.get(tag))
      for (const [prefix, reach] of known.prefix) if (url.startsWith(prefix)) reaches.push(reach)
      return standingIn(reaches, requestTime)
    },
    size: () => known.tag.size + known.url.size + known.prefix.size,
  }
}

const nowhere = (): Reach => [-Infinity, -Infinity, -Infinity]

function raise(reach: Reach, mode: PurgeMode, at: number): void {
  const place = PURGE_MODES.indexOf(mode)
  reach[place] = Math.max(reach[place]!, at)
}

/** Of something that was asked of the origin at `time`; where several purges made it stale, since the first. */
function standingIn(reaches: readonly (Reach | undefined)[], time: number): PurgeStatus {
  let since = Infinity
  let mustBeConfirmed = false
  for (const reach of reaches) {
    if (reach === undefined) continue
    const [soft, validate, hard] = reach
    if (hard >= time) return 'gone'
    if (validate >= time) mustBeConfirmed = true
    if (soft >= time) since = Math.min(since, soft)
  }
  if (mustBeConfirmed) return 'validate'
  return since === Infinity ? 'live' : since
}

/** How everything is purged for the sake of one purge that is forgotten: asking the origin is enough to be right. */
export function forgottenMode(mode: PurgeMode): PurgeMode {
  return mode === 'soft' ? 'soft' : 'validate'
}

/** An order as stores keep it: one row for each text. */
export function rowOf({ mode, kind, value }: PurgeOrder): string {
  return `${mode} ${kind} ${value}`
}

/** What a row says; one that a later release has written is read as more than it can mean. */
export function purgeOf(row: string, at: number): Purge {
  const [mode, kind] = row.split(' ', 2) as [PurgeMode, PurgeKind]
  if (!PURGE_MODES.includes(mode) || !PURGE_KINDS.includes(kind)) return { kind: 'all', value: '', mode: 'hard', at }
  return { kind, value: row.slice(mode.length + kind.length + 2), mode, at }
}

/** The row that a store begins with, a millisecond before its time: of what was purged before it was there, nobody knows. */
export const FIRST_ROW = rowOf({ kind: 'all', value: '', mode: 'validate' })
