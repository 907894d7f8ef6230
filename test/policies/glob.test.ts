import fc from 'fast-check'
import { expect, it } from 'vitest'
import { compileGlob } from '../../src/policies/rules.ts'

it('fits what the regular expression of the same meaning fits', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'B', '.', '/'), maxLength: 9 })
  const pattern = fc.string({ unit: fc.constantFrom('a', 'b', '*', '.', '/'), maxLength: 7 })
  fc.assert(
    fc.property(pattern, text, (pattern, text) => {
      const expression = pattern.replaceAll('.', '\\.').replaceAll('*', '.*')
      expect(compileGlob(pattern)(text)).toBe(new RegExp(`^${expression}$`, 'i').test(text))
    }),
    { numRuns: 5_000 },
  )
})

it.each(['[', '(a+)+', 'a?', 'a|b', '\\d', '$'])('takes %s as it stands', (pattern) => {
  expect(compileGlob(pattern)(pattern)).toBe(true)
  expect(compileGlob(pattern)('a')).toBe(false)
})

it('is quick where a regular expression would not end', () => {
  const fits = compileGlob(`${'*a'.repeat(40)}*b`)
  const started = Date.now()
  for (let i = 0; i < 100; i++) expect(fits('a'.repeat(30_000))).toBe(false)
  expect(Date.now() - started).toBeLessThan(2_000)
})
