import { describe, expect, it } from 'vitest'
import { nearest } from '../../src/config/schema/diagnostic.ts'

describe('nearest', () => {
  it.each([
    ['windw', 'window'],
    ['RateLimit', 'rateLimit'],
    ['limitation', 'limit'],
    ['zzz', undefined],
    ['', undefined],
  ])('%s → %s', (name, expected) => {
    expect(nearest(name, ['window', 'limit', 'rateLimit'])).toBe(expected)
  })
})
