import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type LoginGuard, FORGET_MS, MAX_FAILURES } from '../../src/identity/login-guard.ts'

let nth = 0
const makeGuard = () => env.LOGINS.getByName(`test-${nth++}`)
const rowsOf = (guard: DurableObjectStub<LoginGuard>) =>
  runInDurableObject(guard, (_, { storage }) => storage.sql.exec('SELECT * FROM failures').toArray())

it('lets no more guesses through from one network than ten, however many come at once', async () => {
  const guard = makeGuard()
  const asked = Array.from({ length: 100 }, (_, i) => guard.judge('admin', 'admin from a', i === MAX_FAILURES))
  expect((await Promise.all(asked)).filter((verdict) => verdict?.passes)).toEqual([])
  expect(await guard.judge('admin', 'admin from b', true)).toEqual({ passes: true, delayMs: 0 })
  expect(await guard.judge('other', 'other from a', true)).toEqual({ passes: true, delayMs: 0 })
})

it('keeps its counts when the object is evicted', async () => {
  const guard = makeGuard()
  for (let i = 0; i < MAX_FAILURES; i++) await guard.judge('ada', 'pair', false)
  await evictDurableObject(guard)
  expect((await guard.judge('ada', 'pair', true))?.passes).toBe(false)
})

it('forgives a network whose password was right, and slows down the username for what others failed', async () => {
  const guard = makeGuard()
  for (let from = 0; from < MAX_FAILURES + 2; from++) await guard.judge('ada', `pair ${from}`, false)
  expect(await guard.judge('ada', 'pair 0', true)).toEqual({ passes: true, delayMs: 200 })
  expect(await guard.judge('ada', 'pair 99', true)).toEqual({ passes: true, delayMs: 200 })
  expect((await rowsOf(guard)).map(({ key }) => key)).not.toContain('pair 0')
  for (let i = 0; i < MAX_FAILURES - 1; i++) await guard.judge('ada', 'pair 0', false)
  expect((await guard.judge('ada', 'pair 0', true))?.passes).toBe(true)
})

it('opens again although the guessing goes on', async () => {
  const guard = makeGuard()
  await runInDurableObject(guard, (object, { storage }) => {
    let now = 0
    object.now = () => now
    let opened = 0
    for (; now < 4 * FORGET_MS; now += 1_000) {
      const before = storage.sql.exec('SELECT * FROM failures').toArray()
      object.judge('ada', 'pair', false)
      const after = storage.sql.exec('SELECT * FROM failures').toArray()
      if (JSON.stringify(before) !== JSON.stringify(after)) opened++
    }
    expect(opened).toBe(4 * MAX_FAILURES)
  })
})

it('passes exactly the right passwords of those who did not fail ten times in a row', async () => {
  const logins = fc.array(
    fc.record({ user: fc.nat(1), from: fc.nat(1), isRight: fc.integer({ min: 0, max: 9 }), waitMs: fc.nat(60_000) }),
    { minLength: 40, maxLength: 120 },
  )
  await runInDurableObject(makeGuard(), (guard) => {
    let [now, run] = [0, 0]
    guard.now = () => now
    fc.assert(
      fc.property(logins, (asked) => {
        run++
        now += 2 * FORGET_MS
        const model = new Map<string, { count: number; until: number }>()
        for (const { user, from, isRight: chance, waitMs } of asked) {
          now += waitMs
          const isRight = chance === 0
          const pair = `${run} ${user} ${from}`
          const known = model.get(pair)
          const count = known && now < known.until ? known.count : 0
          const passes = isRight && count < MAX_FAILURES
          expect(guard.judge(`${run} ${user}`, pair, isRight)!.passes).toBe(passes)
          if (count < MAX_FAILURES) model.set(pair, { count: isRight ? 0 : count + 1, until: now + FORGET_MS })
        }
      }),
      { numRuns: 60 },
    )
  })
})

it('stays within its rows, forgets the oldest first, and sweeps what is over', async () => {
  const guard = makeGuard()
  await runInDurableObject(guard, (object) => {
    let now = 0
    object.now = () => now
    object.maxRows = 40
    for (let i = 0; i < 15; i++, now++) object.judge(`user ${i}`, `pair ${i}`, false)
    for (let i = 0; i < MAX_FAILURES; i++, now++) object.judge('victim', 'victim pair', false)
    for (let i = 15; i < 20; i++, now++) object.judge(`user ${i}`, `pair ${i}`, false)
    expect(object.judge('victim', 'victim pair', true)!.passes).toBe(false)
    for (let i = 20; i < 100; i++, now++) object.judge(`user ${i}`, `pair ${i}`, false)
    expect(object.judge('victim', 'victim pair', true)!.passes).toBe(true)
  })
  expect((await rowsOf(guard)).length).toBeLessThanOrEqual(40)
  await runInDurableObject(guard, (object) => {
    object.now = () => 2 * FORGET_MS
  })
  expect(await runDurableObjectAlarm(guard)).toBe(true)
  expect(await rowsOf(guard)).toEqual([])
})
