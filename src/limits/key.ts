import { createHash } from 'node:crypto'
import type { Exchange } from '../exchange.ts'
import { compileKeyPart, lengthPrefixed, type KeyPart } from '../key-part.ts'

/** Keys longer than this are hashed in local limiters too, so that a client cannot fill the memory with long ones. */
const LONGEST_PLAIN_KEY = 256

/**
 * Compiles what a limiter counts by: `scope`, which no other limiter has, and the values of `parts`, each with its length in front, so that
 * no two different lists of values make the same key. `hashed` keys are SHA-256 in hex: a store never sees who the caller is.
 * A request that lacks a value is counted by the scope alone, together with all others that do, and `missing` is called.
 */
export function compileKey(
  scope: readonly string[],
  parts: readonly KeyPart[],
  options: { hashed: boolean; missing: () => void },
): (x: Exchange) => string {
  const prefix = scope.map(lengthPrefixed).join('')
  const readers = parts.map(compileKeyPart)
  const finish = (key: string) => (options.hashed || key.length > LONGEST_PLAIN_KEY ? sha256(key) : key)
  return (x) => {
    let key = prefix
    for (const read of readers) {
      const value = read(x)
      if (!value) {
        options.missing()
        return finish(prefix)
      }
      key += lengthPrefixed(value)
    }
    return finish(key)
  }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
