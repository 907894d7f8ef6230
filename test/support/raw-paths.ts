import fc from 'fast-check'
import { expect } from 'vitest'
import type { EchoOrigin } from './echo-origin.ts'
import { getRaw } from './raw-http.ts'

// prettier-ignore
const piece = fc.constantFrom(
  '/', '..', '.', 'a', '%2e', '%2E%2e', '%41', '%c3%a9', '\xe9', ';', '"', '\\', '//', '%2f', '%00', '%25', '%252e', '%32%65', '%', '<', '|',
)

/**
 * Sends raw targets to a gateway whose one route `/*` leads to `origin`, and holds what the origin got to the rule: refused, or exactly one canonical
 * path that is a fixed point of `new URL` and climbs nowhere.
 */
export async function checkRawPaths(port: number, origin: EchoOrigin, numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 8 }), async (pieces) => {
      const before = origin.targets.length
      const { status, body } = await getRaw(port, `/${pieces.join('')}`)
      const seen = origin.targets.slice(before)
      if (status === 400) {
        expect(seen).toEqual([])
        return
      }
      expect(status).toBe(200)
      expect(seen).toHaveLength(1)
      expect(new URL(seen[0]!, 'http://h').pathname).toBe(seen[0])
      expect(seen[0]).not.toMatch(/\/\.{1,2}(\/|;|$)|\/\/|%2f|%5c|%00|%252e/i)
      expect(body).toContain(JSON.stringify(seen[0]))
    }),
    { numRuns },
  )
}
