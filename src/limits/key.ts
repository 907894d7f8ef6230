import { createHash } from 'node:crypto'
import type { Exchange } from '../core/exchange.ts'
import { compileRequestAttribute, lengthPrefixed, type RequestAttribute } from '../core/request-attribute.ts'

/** A longer key is hashed here too, so that a client cannot fill the memory with long ones. */
const LONGEST_PLAIN_KEY = 128

/**
 * Compiles what a limiter counts by: `scope`, which no other limiter has, and the values of `parts`, each with its length in front, so that
 * no two different lists of values make the same key. A request that lacks a value is counted by the scope alone, together with all others that do, and `missing` is called.
 */
export function compileKey(
  scope: readonly string[],
  parts: readonly RequestAttribute[],
  missing: () => void,
): (x: Exchange) => string {
  const prefix = scope.map(lengthPrefixed).join('')
  const readers = parts.map(compileRequestAttribute)
  const finish = (key: string) => (key.length > LONGEST_PLAIN_KEY ? hashKey(key) : key)
  return (x) => {
    let key = prefix
    for (const read of readers) {
      const value = read(x)
      if (!value) {
        missing()
        return finish(prefix)
      }
      key += lengthPrefixed(value)
    }
    return finish(key)
  }
}

/** What a store knows a key by, SHA-256 in hex: it never sees who the caller is. Costs 7 µs, so nobody does it who asks no store. */
export function hashKey(key: string): string {
  return createHash('sha256').update(key).digest('hex')
}
