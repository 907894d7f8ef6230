import { expect, it } from 'vitest'
import { breakerName, locationOf, regionOf } from '../../src/core/region.ts'

it.each([
  ['Seattle', 'NA', '-122.3', 'wnam'],
  ['New York', 'NA', '-74.0', 'enam'],
  ['North America without a longitude', 'NA', undefined, 'enam'],
  ['São Paulo', 'SA', '-46.6', 'sam'],
  ['London', 'EU', '-0.1', 'weur'],
  ['Berlin', 'EU', '13.4', 'weur'],
  ['Warsaw', 'EU', '21.0', 'eeur'],
  ['Dubai', 'AS', '55.3', 'me'],
  ['Tokyo', 'AS', '139.7', 'apac'],
  ['Asia without a longitude', 'AS', undefined, 'apac'],
  ['Nairobi', 'AF', '36.8', 'afr'],
  ['Sydney', 'OC', '151.2', 'oc'],
  ['the South Pole', 'AN', '0', 'oc'],
  ['nowhere that is known', undefined, undefined, 'local'],
  ['a continent that is not', 'XX', '0', 'local'],
])('%s (%s, %s) is in %s', (_, continent, longitude, region) => {
  const cf = { continent, longitude } as unknown as IncomingRequestCfProperties
  expect(regionOf({ cf })).toBe(region)
})

it('is local for a runtime that tells nothing', () => {
  expect(regionOf(new Request('https://gw.test/'))).toBe('local')
})

it('names one object for each region, and places all but the local one', () => {
  expect(breakerName('weur', 'users')).toBe('weur:users')
  expect([locationOf('weur'), locationOf('local')]).toEqual([{ locationHint: 'weur' }, undefined])
})
