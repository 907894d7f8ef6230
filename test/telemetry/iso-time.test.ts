import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isoTime } from '../../src/telemetry/access-log.ts'

it('writes what Date does, whatever was written before', () => {
  const day = 86_400_000
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -day, max: 30_000 * day }), { minLength: 1 }),
      fc.nat(2_000),
      (times, later) => {
        for (const time of times.flatMap((at) => [at, at + later]))
          expect(isoTime(time)).toBe(new Date(time).toISOString())
      },
    ),
  )
})
