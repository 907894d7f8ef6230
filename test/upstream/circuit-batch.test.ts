import { expect, it } from 'vitest'
import { makeCircuitBatch } from '../../src/upstream/circuit-batch.ts'
import { makeTestExchange } from '../support/exchange.ts'

const HOUR = 3_600_000

it('is reported by the request that opened it, and by another when that one is lost', () => {
  let openers = 0
  const batch = makeCircuitBatch(() => Promise.resolve())
  const x = makeTestExchange(undefined, { waitUntil: () => void openers++ })
  // The last one after the clock was set back.
  const opened = [HOUR, HOUR + 1_999, HOUR + 2_000, 0].map((now) => {
    batch.record(x, now === 0, false, now)
    return openers
  })
  expect(opened).toEqual([1, 1, 2, 3])
  expect(batch.take()).toEqual({ calls: 4, failures: 1, slow: 0 })
  batch.record(x, false, false, 1)
  expect(openers).toBe(4)
})
