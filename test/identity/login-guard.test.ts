import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { FAILURE_TTL_MS, MAX_FAILURES, type LoginGuard } from '../../src/identity/login-guard.ts'

let nth = 0
const makeGuard = () => env.LOGINS.getByName(`test-${nth++}`)
const rowsOf = (guard: DurableObjectStub<LoginGuard>) =>
  runInDurableObject(guard, (_, { storage }) => storage.sql.exec('SELECT * FROM failures').toArray())

it('lets no more guesses through from one network than ten, however many come at once', async () => {
  const guard = makeGuard()
  const asked = Array.from({ length: 100 }, (_, i) => guard.decide('admin', 'admin from a', i === MAX_FAILURES))
  expect((await Promise.all(asked)).filter((verdict) => verdict?.allowed)).toEqual([])
  expect(await guard.decide('admin', 'admin from b', true)).toEqual({ allowed: true, delayMs: 0 })
  expect(await guard.decide('other', 'other from a', true)).toEqual({ allowed: true, delayMs: 0 })
})

it('keeps its counts when the object is evicted', async () => {
  const guard = makeGuard()
  for (let i = 0; i < MAX_FAILURES; i++) await guard.decide('ada', 'pair', false)
  await evictDurableObject(guard)
  expect((await guard.decide('ada', 'pair', true))?.allowed).toBe(false)
})

it('forgives a network whose password was right, and slows down the username for what others failed', async () => {
  const guard = makeGuard()
  for (let from = 0; from < MAX_FAILURES + 2; from++) await guard.decide('ada', `pair ${from}`, false)
  expect(await guard.decide('ada', 'pair 0', true)).toEqual({ allowed: true, delayMs: 200 })
  expect(await guard.decide('ada', 'pair 99', true)).toEqual({ allowed: true, delayMs: 200 })
  expect((await rowsOf(guard)).map(({ key }) => key)).not.toContain('pair 0')
  for (let i = 0; i < MAX_FAILURES - 1; i++) await guard.decide('ada', 'pair 0', false)
  expect((await guard.decide('ada', 'pair 0', true))?.allowed).toBe(true)
})

it('opens again although the guessing goes on', async () => {
  const guard = makeGuard()
  await runInDurableObject(guard, (object, { storage }) => {
    let now = 0
    object.now = () => now
    let opened = 0
    for (; now < 4 * FAILURE_TTL_MS; now += 1_000) {
      const before = storage.sql.exec('SELECT * FROM failures').toArray()
      object.decide('ada', 'pair', false)
      const after = storage.sql.exec('SELECT * FROM failures').toArray()
      if (JSON.stringify(before) !== JSON.stringify(after)) opened++
    }
    expect(opened).toBe(4 * MAX_FAILURES)
  })
})

it('passes exactly the right passwords of those who did not fail ten times in a row', async () => {
  const logins = fc.array(
    fc.record({ user: fc.nat(1), from: fc.nat(1), isCorrect: fc.integer({ min: 0, max: 9 }), waitMs: fc.nat(60_000) }),
    { minLength: 40, maxLength: 120 },
  )
  await runInDurableObject(makeGuard(), (guard) => {
    let [now, run] = [0, 0]
    guard.now = () => now
    fc.assert(
      fc.property(logins, (asked) => {
        run++
        now += 2 * FAILURE_TTL_MS
        const model = new Map<string, { count: number; until: number }>()
        for (const { user, from, isCorrect: chance, waitMs } of asked) {
          now += waitMs
          const isCorrect = chance === 0
          const pair = `${run} ${user} ${from}`
          const known = model.get(pair)
          const count = known && now < known.until ? known.count : 0
          const allowed = isCorrect && count < MAX_FAILURES
          expect(guard.decide(`${run} ${user}`, pair, isCorrect)!.allowed).toBe(allowed)
          if (count < MAX_FAILURES) model.set(pair, { count: isCorrect ? 0 : count + 1, until: now + FAILURE_TTL_MS })
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
    for (let i = 0; i < 15; i++, now++) object.decide(`user ${i}`, `pair ${i}`, false)
    for (let i = 0; i < MAX_FAILURES; i++, now++) object.decide('victim', 'victim pair', false)
    for (let i = 15; i < 20; i++, now++) object.decide(`user ${i}`, `pair ${i}`, false)
    expect(object.decide('victim', 'victim pair', true)!.allowed).toBe(false)
    for (let i = 20; i < 100; i++, now++) object.decide(`user ${i}`, `pair ${i}`, false)
    expect(object.decide('victim', 'victim pair', true)!.allowed).toBe(true)
  })
  expect((await rowsOf(guard)).length).toBeLessThanOrEqual(40)
  await runInDurableObject(guard, (object) => {
    object.now = () => 2 * FAILURE_TTL_MS
  })
  expect(await runDurableObjectAlarm(guard)).toBe(true)
  expect(await rowsOf(guard)).toEqual([])
})
