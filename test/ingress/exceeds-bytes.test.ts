import fc from 'fast-check'
import { expect, it } from 'vitest'
import { exceedsBytes } from '../../src/ingress/headers.ts'

it('tells by bytes, also where characters take several', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'é', '€', '😀', '\ufffd'), maxLength: 12 })
  fc.assert(
    fc.property(text, fc.nat(50), (value, max) => {
      expect(exceedsBytes(value, max)).toBe(new TextEncoder().encode(value).length > max)
    }),
  )
})
