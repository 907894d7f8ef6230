import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import type { CacheCoordinator } from '../../src/cache/cache-coordinator.ts'
import { FETCH_LEASE_MS, LINGER_MS, makeInFlightFetches } from '../../src/cache/collapse/in-flight-fetches.ts'
import type { PurgeOrder } from '../../src/cache/purge/purges.ts'

let made = 0
const makeObject = () => env.CACHE_STATE.getByName(`coordinator-${made++}`)
type Parts = Partial<Pick<CacheCoordinator, 'now' | 'maxPurges'>>
const set = (object: DurableObjectStub<CacheCoordinator>, parts: Parts) =>
  runInDurableObject(object, (instance) => void Object.assign(instance, parts))
const tag = (value: string, mode: PurgeOrder['mode'] = 'hard') => ({ kind: 'tag', value, mode }) as const
const FLOOR = { kind: 'all', value: '', mode: 'validate' }

it('answers with what came after a cursor, each purge at a time of its own, also over an eviction', async () => {
  const object = makeObject()
  await set(object, { now: () => 1_000 })
  const first = (await object.purges(0, [tag('a'), tag('b')]))!
  expect(first.purges).toEqual([
    { ...FLOOR, at: 999 },
    { ...tag('a'), at: 1_000 },
    { ...tag('b'), at: 1_001 },
  ])
  await evictDurableObject(object)
  // Its clock has stepped back.
  await set(object, { now: () => 500 })
  const next = (await object.purges(first.last, [tag('a')]))!
  expect(next).toEqual({ purges: [{ ...tag('a'), at: 1_002 }], last: 1_002, more: false })
  expect((await object.purges(next.last, []))!.purges).toEqual([])
  expect((await object.purges(0, []))!.purges.map(({ value }) => value)).toEqual(['', 'b', 'a'])
})

it('begins at the first for a cursor of another store', async () => {
  const object = makeObject()
  await set(object, { now: () => 1_000 })
  expect((await object.purges(5_000, []))!).toEqual({ purges: [{ ...FLOOR, at: 999 }], last: 999, more: false })
})

it('keeps to its bound: what is forgotten purges everything up to its time', async () => {
  const object = makeObject()
  await set(object, { now: () => 1_000, maxPurges: 3 })
  await object.purges(0, [tag('a', 'soft'), tag('b', 'soft'), tag('c')])
  const { purges } = (await object.purges(0, [tag('d'), tag('e'), tag('f')]))!
  expect(purges.map(({ value, mode, at }) => [value, mode, at])).toEqual([
    ['', 'soft', 1_001],
    ['', 'validate', 1_002],
    ['d', 'hard', 1_003],
    ['e', 'hard', 1_004],
    ['f', 'hard', 1_005],
  ])
})

it('answers in batches', async () => {
  const object = makeObject()
  await object.purges(
    0,
    Array.from({ length: 1_500 }, (_, i) => tag(`t${i}`)),
  )
  const first = (await object.purges(0, []))!
  const second = (await object.purges(first.purges.at(-1)!.at, []))!
  expect([first.purges.length, first.more, second.purges.length, second.more]).toEqual([1_000, true, 501, false])
})

it('takes all orders or none, and says so when its storage fails', async () => {
  const object = makeObject()
  await object.purges(0, [tag('kept')])
  await runInDurableObject(object, (_, { storage }) => {
    storage.sql.exec(
      `CREATE TRIGGER no BEFORE INSERT ON purges WHEN NEW.row LIKE '%bad%' BEGIN SELECT RAISE(ABORT, 'no'); END`,
    )
  })
  expect(await object.purges(0, [tag('good'), tag('bad')])).toBeUndefined()
  const { purges } = (await object.purges(0, []))!
  expect(purges.map(({ value }) => value)).toEqual(['', 'kept'])
})

it('has one lead, and tells the others how it ended', async () => {
  const object = makeObject()
  expect(await Promise.all([1, 2, 3].map(() => object.join('k')))).toEqual(['lead', 'follow', 'follow'])
  expect(await object.join('another')).toBe('lead')
  const waiting = [object.wait('k', 5_000), object.wait('k', 5_000)]
  // A call that is sent later arrives later.
  await object.finish('k', 'stored')
  expect(await Promise.all(waiting)).toEqual(['stored', 'stored'])
  expect([await object.join('k'), await object.wait('k', 5_000)]).toEqual(['stored', 'stored'])
})

it('hands a lead that failed to one of those who wait, and lets twice as many go on with each further failure', async () => {
  const flights = makeInFlightFetches(() => 0)
  flights.join('k')
  const waited = Array.from({ length: 10 }, () => flights.wait('k', 60_000))
  const heard: string[] = []
  for (const one of waited) void one.then((told) => heard.push(told))
  const fail = async () => {
    flights.finish('k', 'failed')
    await new Promise((passed) => setTimeout(passed, 1))
    return heard.splice(0)
  }
  expect(await fail()).toEqual(['lead'])
  // Who comes meanwhile waits for the new leader.
  expect(flights.join('k')).toBe('follow')
  expect(await fail()).toEqual(['lead', 'failed'])
  expect(await fail()).toEqual(['lead', 'failed', 'failed', 'failed'])
  flights.finish('k', 'stored')
  expect(await Promise.all(waited.slice(7))).toEqual(['stored', 'stored', 'stored'])
})

it('hands the lead of one who never comes back to one of those who wait, once his lease is over', async () => {
  let ahead = 0
  const flights = makeInFlightFetches(() => Date.now() + ahead)
  flights.join('k')
  ahead = FETCH_LEASE_MS - 100
  const [first, second] = [flights.wait('k', 1_000), flights.wait('k', 1_000)]
  expect(await Promise.race([first, second])).toBe('lead')
  flights.finish('k', 'uncacheable')
  expect((await Promise.all([first, second])).toSorted()).toEqual(['lead', 'uncacheable'])
})

it('lets one who has read in vain what was stored lead, and others follow him', () => {
  const flights = makeInFlightFetches(Date.now)
  flights.join('k')
  flights.finish('k', 'stored')
  expect([flights.join('k'), flights.join('k', true), flights.join('k', true)]).toEqual(['stored', 'lead', 'follow'])
})

it('lets the next one lead after a failure, a lease, and the time of an outcome', async () => {
  let now = 0
  const flights = makeInFlightFetches(() => now, 2)
  expect([flights.join('k'), flights.join('k')]).toEqual(['lead', 'follow'])
  const told = flights.wait('k', 1_000)
  flights.finish('k', 'failed')
  expect([await told, flights.join('k')]).toEqual(['lead', 'follow'])
  flights.finish('k', 'failed')
  expect([flights.join('k'), flights.join('k')]).toEqual(['lead', 'follow'])
  now += FETCH_LEASE_MS
  expect([await flights.wait('k', 1_000), flights.join('k')]).toEqual(['lead', 'follow'])
  flights.finish('k', 'uncacheable')
  now += LINGER_MS - 1
  expect(flights.join('k')).toBe('uncacheable')
  now += 1
  expect([flights.join('k'), flights.join('l'), flights.join('m')]).toEqual(['lead', 'lead', 'full'])
  // Clocks step back: no lease gets longer by that.
  now -= 10_000_000
  expect([flights.join('k'), flights.join('k')]).toEqual(['lead', 'follow'])
  expect(await flights.wait('k', 20)).toBe('over')
})
