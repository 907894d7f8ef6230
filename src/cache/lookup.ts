import { createHash } from 'node:crypto'
import type { Exchange } from '../core/exchange.ts'
import type { Fields } from './http/fields.ts'
import type { CacheKey } from './key.ts'
import type { Found, Tiers } from './store/tiers.ts'
import { matchesSelection, selectionKey, selectionOf } from './http/vary.ts'

/** What the tiers have for a request. */
export interface Lookup {
  /** Where its answer is, or would be put. */
  readonly slot: string
  readonly found: Found | undefined
  /** What Vary named in an answer that was stored under this key. */
  readonly varies: readonly string[]
}

/**
 * Finds the stored answer that a request selects. The first that came is under the key itself; those that its Vary tells apart from it
 * are under the key and what they were selected by, so that an answer without Vary costs one look. `seen`: the request as the origin would
 * see it.
 */
export async function lookUp(tiers: Tiers, key: CacheKey, x: Exchange, seen: Fields): Promise<Lookup> {
  const first = await tiers.read(key.hash, x)
  const selecting = first?.head.selecting
  if (first === undefined || selecting === undefined) return { slot: key.hash, found: first, varies: [] }
  const varies = selecting.map(([name]) => name)
  if (matchesSelection(selecting, seen)) return { slot: key.hash, found: first, varies }
  dropBody(first)
  const slot = `${key.hash}.${sha256(selectionKey(selectionOf(varies, seen)))}`
  const found = await tiers.read(slot, x)
  return { slot, found, varies }
}

/** Frees what a stored answer holds that nobody will read. */
export function dropBody({ body }: Pick<Found, 'body'>): void {
  body?.cancel().catch(() => {})
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
