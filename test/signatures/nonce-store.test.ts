import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import type { NonceStore } from '../../src/signatures/nonce-store.ts'
import { takeNonce } from '../../src/signatures/nonces.ts'

let made = 0
const makeStore = () => env.NONCES.getByName(`test-${made++}`)
const countRows = (store: DurableObjectStub<NonceStore>) =>
  runInDurableObject(store, (_, state) => state.storage.sql.exec('SELECT * FROM nonces').toArray().length)
const at = (store: DurableObjectStub<NonceStore>, parts: Partial<Pick<NonceStore, 'now' | 'maxRows'>>) =>
  runInDurableObject(store, (instance) => void Object.assign(instance, parts))

it('takes each nonce once, also after it was evicted', async () => {
  const store = makeStore()
  expect(await store.use('a', 1_000)).toBe(true)
  expect(await store.use('b', 1_000)).toBe(true)
  expect(await store.use('a', 1_000)).toBe(false)
  await evictDurableObject(store)
  expect(await store.use('a', 1_000)).toBe(false)
})

it('forgets by its alarm what has expired, and has no alarm when nothing is left', async () => {
  const store = makeStore()
  const start = Date.now()
  await store.use('short', 1_000)
  await store.use('long', 3_600_000)
  await at(store, { now: () => start + 2_000 })
  expect(await runDurableObjectAlarm(store)).toBe(true)
  expect(await countRows(store)).toBe(1)
  expect(await store.use('long', 1_000)).toBe(false)
  await at(store, { now: () => start + 2 * 3_600_000 })
  expect(await runDurableObjectAlarm(store)).toBe(true)
  expect(await countRows(store)).toBe(0)
  expect(await runDurableObjectAlarm(store)).toBe(false)
})

it('says that it cannot say when it is full, and makes room when something has expired', async () => {
  const store = makeStore()
  let now = 1_000_000
  await at(store, { now: () => now, maxRows: 2 })
  expect(await store.use('a', 1_000)).toBe(true)
  expect(await store.use('b', 60_000)).toBe(true)
  expect(await store.use('c', 1_000)).toBeUndefined()
  expect(await store.use('a', 1_000)).toBe(false)
  now += 2_000
  expect(await store.use('c', 1_000)).toBe(true)
})

it('says that it cannot say when its storage fails', async () => {
  const store = makeStore()
  await runInDurableObject(store, (_, state) => void state.storage.sql.exec('DROP TABLE nonces'))
  expect(await store.use('a', 1_000)).toBeUndefined()
})

it('tells apart providers, keys and nonces, however they are put together', async () => {
  const take = (provider: string, keyid: string, nonce: string) =>
    takeNonce(env.NONCES, { provider, keyid, nonce }, 60_000)
  expect(await take('p', 'k', 'n')).toBe('fresh')
  expect(await take('p', 'k', 'n')).toBe('used')
  for (const [provider, keyid, nonce] of [
    ['pk', '', 'n'],
    ['p', 'kn', ''],
    ['p', 'k","n', 'n'],
    ['p', 'k', 'N'],
  ] as const)
    expect(await take(provider, keyid, nonce)).toBe('fresh')
})

it('lets exactly one of many have a nonce, however many ask at once', async () => {
  const take = () => takeNonce(env.NONCES, { provider: 'p', keyid: 'k', nonce: 'raced' }, 60_000)
  const verdicts = await Promise.all(Array.from({ length: 200 }, take))
  expect(verdicts.filter((verdict) => verdict === 'fresh')).toHaveLength(1)
  expect(verdicts.filter((verdict) => verdict === 'used')).toHaveLength(199)
})

it('is unavailable when the store does not answer', async () => {
  const store = makeStore()
  let hangs = true
  const hanging = runInDurableObject(store, (_, state) =>
    state.blockConcurrencyWhile(async () => {
      while (hangs) await scheduler.wait(5)
    }),
  )
  const everyShard = { getByName: () => store } as unknown as typeof env.NONCES
  expect(await takeNonce(everyShard, { provider: 'p', keyid: 'k', nonce: 'n' }, 1)).toBe('unavailable')
  hangs = false
  await hanging
})
