import { describe, expect, it } from 'vitest'
import { makeTokenCache } from '../../src/auth/token-cache.ts'

describe('makeTokenCache', () => {
  it('keeps what is in use and forgets the rest, within its bounds', () => {
    const cache = makeTokenCache<number>(100, 1e9)
    cache.set('used', -1)
    for (let i = 0; i < 1000; i++) {
      cache.set(`t${i}`, i)
      expect(cache.get('used')).toBe(-1)
      expect(cache.size()).toBeLessThanOrEqual(100)
    }
    expect(cache.get('t999')).toBe(999)
    expect(cache.get('t1')).toBeUndefined()
  })

  it('bounds bytes as well as entries', () => {
    const cache = makeTokenCache<number>(4096, 8 * 1024 * 1024)
    for (let i = 0; i < 3000; i++) cache.set(`${i}`.padEnd(8192, 'x'), i)
    expect(cache.size() * 8192 * 2).toBeLessThan(8 * 1024 * 1024)
    expect(cache.size()).toBeGreaterThan(100)
  })

  it('counts what a value says of its bytes, also when it is used again', () => {
    const cache = makeTokenCache<number>(4096, 1_000, (_, bytes) => bytes)
    for (let i = 0; i < 100; i++) {
      cache.set(`${i}`, 100)
      cache.get('0')
      expect(cache.size()).toBeLessThanOrEqual(10)
    }
  })
})
