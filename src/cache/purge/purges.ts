import type { StoredHead } from '../http/entry.ts'

/** The kinds of rows; a row of another kind, from a later release, counts as a purge of everything. */
export const PURGE_KINDS = ['tag', 'url', 'prefix', 'all'] as const
/** `url` without a query means all queries of its path. `prefix` is of `StoredHead.url`. The value of `all` is `''`. */
export type PurgeKind = (typeof PURGE_KINDS)[number]

/** From mild to strict; a row with any other mode counts as a `hard` purge of everything. */
export const PURGE_MODES = ['soft', 'validate', 'hard'] as const
/** `soft` makes stale, `validate` forbids reuse before the origin has confirmed it (RFC 9111 §4.4), `hard` removes. */
export type PurgeMode = (typeof PURGE_MODES)[number]

/** An order to purge responses whose requests were sent to the origin before the store records the order. */
export interface PurgeOrder {
  readonly kind: PurgeKind
  readonly value: string
  readonly mode: PurgeMode
}

/** A recorded purge. `at`: epoch milliseconds of the store's clock, unique. */
export interface Purge extends PurgeOrder {
  readonly at: number
}

/**
 * The status of a stored response. `validate`: it must be validated before it is used, and may not be served stale. A number:
 * stale since then, epoch milliseconds.
 */
export type PurgeStatus = 'live' | 'validate' | 'gone' | number

/** One isolate's copy of all purges. */
export interface Purged {
  readonly add: (purge: Purge) => void
  readonly standing: (head: Pick<StoredHead, 'requestTime' | 'url' | 'tags'>) => PurgeStatus
  /** Tags, URLs and prefixes held. */
  readonly size: () => number
}

/** Up to when everything is purged in each mode, epoch milliseconds, by the mode's index in PURGE_MODES. */
type Reach = [soft: number, validate: number, hard: number]

/** Prefixes are compared one by one. */
const BOUNDS = { tag: 10_000, url: 10_000, prefix: 256 }

/** The oldest purges beyond the bounds become purges of everything up to their time: no purged response is ever served again. */
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
      // The oldest come first.
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

/** The status of a response that was requested at `time`; where several purges made it stale, since the first. */
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

/** The mode of the purge of everything that replaces a removed purge: validation suffices for correctness. */
export function forgottenMode(mode: PurgeMode): PurgeMode {
  return mode === 'soft' ? 'soft' : 'validate'
}

/** An order as stores keep it: one row for each text. */
export function rowOf({ mode, kind, value }: PurgeOrder): string {
  return `${mode} ${kind} ${value}`
}

/** The purge in a row; a row of a later release counts as a wider purge than it can mean. */
export function purgeOf(row: string, at: number): Purge {
  const [mode, kind] = row.split(' ', 2) as [PurgeMode, PurgeKind]
  if (!PURGE_MODES.includes(mode) || !PURGE_KINDS.includes(kind)) return { kind: 'all', value: '', mode: 'hard', at }
  return { kind, value: row.slice(mode.length + kind.length + 2), mode, at }
}

/** The first row of a store, a millisecond before its creation: earlier purges are unknown, so everything before is purged. */
export const FIRST_ROW = rowOf({ kind: 'all', value: '', mode: 'validate' })
