import fc from 'fast-check'
import { expect, it } from 'vitest'
import { CLOSED_BREAKER, countCalls, type BreakerState } from '../../../src/upstream/circuit-breaker/breaker-state.ts'
import { makeCallWindow } from '../../../src/upstream/circuit-breaker/call-window.ts'

const SETTINGS = {
  failureRate: 50,
  slowCallRate: 80,
  minimumRequests: 5,
  window: 10_000,
  openDuration: 1_000,
  maxOpenDuration: 5_000,
  halfOpenProbes: 1,
}

const call = fc.record({ failed: fc.boolean(), slow: fc.boolean(), after: fc.integer({ min: 0, max: 4_000 }) })

it('reaches the threshold at the call at which the breaker object would open', () => {
  fc.assert(
    fc.property(fc.array(call, { maxLength: 80 }), (calls) => {
      const window = makeCallWindow(SETTINGS)
      let object: BreakerState = CLOSED_BREAKER
      let now = 1_000_000_000_000
      for (const { failed, slow, after } of calls) {
        now += after
        const counters = { calls: 1, failures: failed ? 1 : 0, slow: slow ? 1 : 0 }
        object = countCalls(object, counters, SETTINGS, now)
        const isReached = window.record(failed, slow, now)
        expect(isReached).toBe(object.state === 'open')
        if (isReached) {
          window.reset()
          object = CLOSED_BREAKER
        }
      }
    }),
  )
})

it.each([-3_600_000, -2_000, 3_600_000])('counts on when the clock moves by %i ms', (moved) => {
  const window = makeCallWindow(SETTINGS)
  const now = 1_000_000_000_000
  for (let nth = 0; nth < 4; nth++) window.record(true, false, now)
  const reached = [1, 2, 3, 4, 5].map(() => window.record(true, false, now + moved))
  // A second or two back is within the window; an hour is another window.
  expect(reached.indexOf(true)).toBe(moved === -2_000 ? 0 : 4)
})
