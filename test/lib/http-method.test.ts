import { expect, it } from 'vitest'
import { EXTENSION_METHODS, isIdempotent, isStandardMethod, isUnsafe, METHODS } from '../../src/lib/http-method.ts'

const names = [...METHODS, ...EXTENSION_METHODS]

it('names those that a route takes by default', () => {
  expect(names.filter(isStandardMethod)).toEqual(METHODS)
})

it('knows the safe ones', () => {
  const safe = ['GET', 'HEAD', 'OPTIONS', 'PROPFIND', 'REPORT', 'SEARCH', 'QUERY']
  expect(names.filter((name) => !isUnsafe(name))).toEqual(safe)
})

it('knows those that cannot be repeated', () => {
  const once = ['POST', 'PATCH', 'LOCK', 'NOTIFY', 'SUBSCRIBE', 'UNSUBSCRIBE']
  expect(names.filter((name) => !isIdempotent(name))).toEqual(once)
})
