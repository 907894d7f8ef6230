/** Values by token; unused ones are evicted. */
export interface TokenCache<Value> {
  readonly get: (token: string) => Value | undefined
  readonly set: (token: string, value: Value) => void
  /** Entries held, those in both generations counted twice: never more than `maxEntries`. */
  readonly size: () => number
}

/**
 * Makes a cache in two generations: when the young one reaches half of the bounds it becomes the old one, and the old one is dropped.
 * An exact LRU would reorder a Map at every hit, which costs ten times the lookup.
 */
export function makeTokenCache<Value>(
  maxEntries: number,
  maxBytes: number,
  bytesOf: (token: string, value: Value) => number = entryBytes,
): TokenCache<Value> {
  let young = new Map<string, Value>()
  let old = new Map<string, Value>()
  let youngBytes = 0

  const set = (token: string, value: Value) => {
    const bytes = bytesOf(token, value)
    if (young.size + 1 > maxEntries / 2 || youngBytes + bytes > maxBytes / 2) {
      old = young
      young = new Map()
      youngBytes = 0
    }
    if (!young.has(token)) youngBytes += bytes
    young.set(token, value)
  }

  const get = (token: string) => {
    const fresh = young.get(token)
    if (fresh !== undefined) return fresh
    const kept = old.get(token)
    if (kept !== undefined) set(token, kept)
    return kept
  }

  return { get, set, size: () => young.size + old.size }
}

/** The token itself, its claims as parsed (most of it once more), and about 1 KiB of objects around them. */
function entryBytes(token: string): number {
  return 2 * token.length + 1024
}
