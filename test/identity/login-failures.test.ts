import { expect, it } from 'vitest'
import {
  addFailure,
  FAILURE_TTL_MS,
  isLocked,
  loginDelay,
  MAX_FAILURES,
  unexpiredFailures,
  type LoginFailures,
} from '../../src/identity/login-guard.ts'

it('locks a pair after ten failures, until nothing failed for a quarter of an hour', () => {
  let failures: LoginFailures | undefined
  for (let i = 0; i < MAX_FAILURES; i++) {
    expect(isLocked(failures)).toBe(false)
    failures = addFailure(unexpiredFailures(failures, i), i)
  }
  expect(isLocked(failures)).toBe(true)
  const last = MAX_FAILURES - 1
  expect(isLocked(unexpiredFailures(failures, last + FAILURE_TTL_MS - 1))).toBe(true)
  expect(unexpiredFailures(failures, last + FAILURE_TTL_MS)).toBeUndefined()
})

it('never locks a username, and makes it wait longer with each failure, five seconds at most', () => {
  const delays = Array.from({ length: 20 }, (_, count) => loginDelay({ count, until: 1 }))
  expect(delays.slice(0, 11)).toEqual(Array(11).fill(0))
  expect(delays.slice(11)).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000])
  expect(loginDelay({ count: 1e9, until: 1 })).toBe(5_000)
})

it('forgets what a clock that stepped back wrote into the future', () => {
  const failures = addFailure({ count: 20, until: 0 }, 10 * FAILURE_TTL_MS)
  expect(unexpiredFailures(failures, 10 * FAILURE_TTL_MS)).toEqual(failures)
  expect(unexpiredFailures(failures, 8 * FAILURE_TTL_MS)).toBeUndefined()
})
