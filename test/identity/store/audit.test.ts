import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { DEFAULT_AUDIT_RETENTION } from '../../../src/identity/store-limits.ts'
import { BY, made, makeStore } from './identity-store.ts'

const DAY = 86_400_000

/** A store with an entry a day, numbered from 1, on the days 0 to `days` - 1; its clock is at `days`. */
async function makeLog(name: string, days: number) {
  const { stub, ask } = makeStore(name)
  const setDay = (day: number) =>
    runInDurableObject(stub, (instance) => void (instance.now = () => 1_000_000 + day * DAY))
  for (let day = 0; day < days; day++) {
    await setDay(day)
    await ask('recordChange', 'breakers.steer', `day-${day}`, {}, BY)
  }
  await setDay(days)
  const numbers = async () => made(await ask('auditLog', { limit: 200 })).items.map(({ seq }) => seq)
  const prune = () => runDurableObjectAlarm(stub)
  return { stub, ask, numbers, prune, setDay }
}

describe('the audit log', () => {
  it('keeps what is younger than its age, and deletes the rest by the alarm', async () => {
    const { ask, numbers, prune } = await makeLog('aged', 6)
    expect(await ask('setAuditRetention', { maxAgeMs: 3 * DAY, maxRows: 1_000 })).toBe('set')
    expect(await numbers()).toEqual([6, 5, 4, 3, 2, 1])
    await prune()
    expect(await numbers()).toEqual([6, 5, 4])
    await prune()
    expect(await numbers()).toEqual([6, 5, 4])
  })

  it('keeps no more than its rows', async () => {
    const { ask, numbers, prune } = await makeLog('many', 6)
    await ask('setAuditRetention', { maxAgeMs: 300 * DAY, maxRows: 2 })
    await prune()
    expect(await numbers()).toEqual([6, 5])
  })

  it('keeps 400 days and a million entries when it was told nothing', async () => {
    expect(DEFAULT_AUDIT_RETENTION).toEqual({ maxAgeMs: 400 * DAY, maxRows: 1_000_000 })
    const { numbers, prune, setDay } = await makeLog('default', 2)
    await setDay(400)
    await prune()
    expect(await numbers()).toEqual([2, 1])
    await setDay(401)
    await prune()
    expect(await numbers()).toEqual([2])
  })

  it('lets nobody delete an entry that is kept, after older ones were deleted', async () => {
    const { ask, stub, numbers, prune } = await makeLog('kept', 3)
    await ask('setAuditRetention', { maxAgeMs: 300 * DAY, maxRows: 2 })
    await prune()
    await runInDurableObject(stub, (_, { storage }) => {
      expect(() => storage.sql.exec('DELETE FROM audit WHERE seq = 2')).toThrow(/append-only/)
    })
    expect(await numbers()).toEqual([3, 2])
  })

  it('refuses a retention that is none', async () => {
    const { ask } = makeStore('refused')
    expect(await ask('setAuditRetention', { maxAgeMs: 0, maxRows: 10 })).toMatch(/^invalid: maxAgeMs/)
    expect(await ask('setAuditRetention', { maxAgeMs: 10 } as never)).toMatch(/^invalid: maxRows/)
  })

  it('deletes many rows in several runs', async () => {
    const { stub, prune } = await makeLog('runs', 0)
    await runInDurableObject(stub, (instance, { storage }) => {
      for (let nth = 0; nth < 25_000; nth++) storage.sql.exec(`INSERT INTO audit (at, data) VALUES (0, '{}')`)
      instance.execute('setAuditRetention', [{ maxAgeMs: 1, maxRows: 1_000 }])
    })
    const count = () =>
      runInDurableObject(stub, (_, { storage }) => storage.sql.exec('SELECT COUNT(*) AS n FROM audit').one()['n'])
    await prune()
    expect(await count()).toBe(5_000)
    await prune()
    expect(await count()).toBe(0)
  })
})
