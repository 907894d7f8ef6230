import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import { makeStore } from './store/identity-store.ts'

const later = Date.now() + 2 * 24 * 3_600_000

it('sets a lost alarm of the identity store again at the next call', async () => {
  const alarm = await runInDurableObject(makeStore('lost').stub, async (store, { storage }) => {
    await storage.deleteAlarm()
    store.now = () => later
    store.execute('getUser', ['ada'])
    return storage.getAlarm()
  })
  expect(alarm).toBeGreaterThan(later)
})

it('sets a lost alarm of the login guard again at the next failure', async () => {
  const guard = env.LOGINS.getByName(`lost-${crypto.randomUUID()}`)
  const alarm = await runInDurableObject(guard, async (store, { storage }) => {
    store.decide('u', 'p', false)
    await storage.deleteAlarm()
    store.now = () => later
    store.decide('u', 'p', false)
    return storage.getAlarm()
  })
  expect(alarm).toBeGreaterThan(later)
})

it('sets a lost alarm of the nonces again at the next nonce', async () => {
  const nonces = env.NONCES.getByName(`lost-${crypto.randomUUID()}`)
  const alarm = await runInDurableObject(nonces, async (store, { storage }) => {
    store.use('a', 1_000)
    await storage.deleteAlarm()
    store.now = () => later
    store.use('b', 1_000)
    return storage.getAlarm()
  })
  expect(alarm).toBeGreaterThan(later)
})

it('sets a lost alarm of the limits again at the next new key', async () => {
  const shard = env.LIMITS.getByName(`lost-${crypto.randomUUID()}`)
  const take = (key: string) => ({
    key,
    spec: { name: 'n', limit: 3, windowMs: 1_000 },
    ask: { want: 1, atLeast: 1 },
  })
  const alarm = await runInDurableObject(shard, async (store, { storage }) => {
    store.take(take('a'))
    await storage.deleteAlarm()
    store.now = () => later
    store.take(take('b'))
    return storage.getAlarm()
  })
  expect(alarm).toBeGreaterThan(later)
})
