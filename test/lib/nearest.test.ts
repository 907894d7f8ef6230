import { describe, expect, it } from 'vitest'
import { nearest } from '../../src/config/schema/diagnostic.ts'

describe('nearest', () => {
  it.each([
    ['windw', 'window'],
    ['RateLimit', 'rateLimit'],
    ['limitation', 'limit'],
    ['zzz', undefined],
    ['', undefined],
  ])('%s → %s', (word, expected) => {
    expect(nearest(word, ['window', 'limit', 'rateLimit'])).toBe(expected)
  })
})
