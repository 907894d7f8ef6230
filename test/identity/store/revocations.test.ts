import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { MAX_SKEW_MS, STORE_LIMITS } from '../../../src/identity/store-limits.ts'
import type { Revocation } from '../../../src/identity/types.ts'
import { BY, made, makeStore } from './identity-store.ts'

const idOf = ({ target }: Revocation) => ('jti' in target ? target.jti : '')

it('shows each follower every entry exactly once, also after pruning', async () => {
  const { stub } = makeStore('feed')
  const step = fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('revoke' as const), forMs: fc.integer({ min: 1, max: 400 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('follow' as const), who: fc.nat(2) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('prune' as const) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.nat(200) }) },
  )
  let made = 0
  let now = Date.now()
  await runInDurableObject(stub, async (instance) => {
    instance.now = () => now
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const entries: { id: string; until: number; n: number }[] = []
        const begin = instance.execute('revocationsSince', ['']) as { cursor: string }
        const followers = [0, 1, 2].map(() => ({ cursor: begin.cursor, seen: new Map<string, number>(), at: 0 }))
        for (const one of steps) {
          if (one.do === 'wait') now += one.ms
          else if (one.do === 'prune') await instance.alarm()
          else if (one.do === 'revoke') {
            const id = `j${made++}`
            entries.push({ id, until: now + one.forMs, n: entries.length })
            expect(instance.execute('revoke', [{ jti: id }, now + one.forMs, BY])).toBe('revoked')
          } else {
            const follower = followers[one.who]!
            const news = instance.execute('revocationsSince', [follower.cursor]) as {
              entries: Revocation[]
              cursor: string
              reset: boolean
            }
            expect(news.reset).toBe(false)
            for (const entry of news.entries) follower.seen.set(idOf(entry), (follower.seen.get(idOf(entry)) ?? 0) + 1)
            follower.cursor = news.cursor
            follower.at = entries.length
          }
          for (const { seen, at } of followers) {
            expect([...seen.values()].every((times) => times === 1)).toBe(true)
            const owed = entries.filter(({ n, until }) => n < at && until > now)
            expect(owed.filter(({ id }) => !seen.has(id))).toEqual([])
          }
        }
      }),
      { numRuns: 50 },
    )
  })
})

it('goes on behind its last number after all entries were pruned and the object was evicted', async () => {
  const { ask, stub, rows } = makeStore('numbers')
  await ask('revoke', { jti: 'a' }, Date.now() + 60_000, BY)
  const seen = await ask('revocationsSince', '')
  expect(seen).toMatchObject({ reset: true, more: false, entries: [{ target: { jti: 'a' } }] })
  await runInDurableObject(stub, (instance) => void (instance.now = () => Date.now() + 60_000 + MAX_SKEW_MS))
  expect(await runDurableObjectAlarm(stub)).toBe(true)
  expect(await rows('revocations')).toEqual([])
  await evictDurableObject(stub)
  await ask('revoke', { jti: 'b' }, Date.now() + 60_000, BY)
  const next = await ask('revocationsSince', seen.cursor)
  expect(next).toMatchObject({ reset: false, entries: [{ target: { jti: 'b' } }] })
  expect(await ask('revocationsSince', next.cursor)).toMatchObject({ reset: false, entries: [], cursor: next.cursor })
})

it('tells a follower of another store to forget, and shows it everything', async () => {
  const { ask } = makeStore('other')
  await ask('revoke', { jti: 'a' }, Date.now() + 60_000, BY)
  for (const cursor of ['other.7', 'x', '.', `${'x'.repeat(500)}.1`])
    expect(await ask('revocationsSince', cursor)).toMatchObject({ reset: true, entries: [{ target: { jti: 'a' } }] })
})

it('shows a revocation for as long as a provider may take the token past its `exp`', async () => {
  await makeStore('skew').inside((ask, clock) => {
    ask('revoke', { jti: 'a' }, clock.at + 1_000, BY)
    clock.at += 1_000 + MAX_SKEW_MS - 1
    expect(ask('revocationsSince', '').entries).toHaveLength(1)
    clock.at += 1
    expect(ask('revocationsSince', '').entries).toEqual([])
  })
})

it('answers in parts of a size that can be sent', async () => {
  await makeStore('parts').inside((ask, clock) => {
    for (let i = 0; i < STORE_LIMITS.feedEntries + 5; i++) ask('revoke', { jti: `j${i}` }, clock.at + 1_000, 'holder')
    const first = ask('revocationsSince', '')
    expect([first.entries.length, first.more]).toEqual([STORE_LIMITS.feedEntries, true])
    const rest = ask('revocationsSince', first.cursor)
    expect([rest.entries.length, rest.more, rest.reset]).toEqual([5, false, false])
  })
})

it('renews an entry that must live longer or concerns more tokens, and writes nothing for one that is known', async () => {
  await makeStore('renewed').inside((ask, clock) => {
    const subject = { issuer: 'i', subject: 's' }
    ask('revoke', { jti: 'a' }, clock.at + 1_000, BY)
    ask('revoke', subject, clock.at + 1_000, BY)
    const { cursor } = ask('revocationsSince', '')
    clock.at += 10
    ask('revoke', { jti: 'a' }, clock.at + 500, BY)
    expect(ask('revocationsSince', cursor).entries).toEqual([])
    ask('revoke', subject, clock.at + 500, BY)
    const later = [{ target: subject, at: clock.at, until: clock.at + 990 }]
    expect(ask('revocationsSince', cursor).entries).toEqual(later)
    ask('revoke', { jti: 'a' }, clock.at + 2_000, BY)
    expect(ask('revocationsSince', cursor).entries).toEqual([
      ...later,
      { target: { jti: 'a' }, at: clock.at, until: clock.at + 2_000 },
    ])
    expect(made(ask('listRevocations', { limit: 1 }))).toMatchObject({ items: [{ target: { jti: 'a' } }], next: '4' })
  })
})

it('keeps room for operators when holders have filled theirs, and refuses what is no revocation', async () => {
  const { ask, stub } = makeStore('room')
  const until = Date.now() + 60_000
  const fill = (count: number, name: string) =>
    runInDurableObject(stub, (_, { storage }) => {
      storage.sql.exec(
        `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
         INSERT INTO revocations (key, until, data) SELECT '${name}' || i, ${until}, '{}' FROM n`,
      )
    })
  await ask('revoke', { jti: 'a' }, until, BY)
  await fill(STORE_LIMITS.revocationsByHolders, 'x')
  expect(await ask('revoke', { jti: 'b' }, until, 'holder')).toBe('full')
  expect(await ask('revoke', { jti: 'c' }, until, BY)).toBe('revoked')
  await fill(STORE_LIMITS.revocations - STORE_LIMITS.revocationsByHolders, 'y')
  expect(await ask('revoke', { jti: 'd' }, until, BY)).toBe('full')
  expect(await ask('revoke', { jti: '' }, until, BY)).toMatch(/^invalid: target/)
  expect(await ask('revoke', { jti: 'a' }, NaN, BY)).toMatch(/^invalid: until/)
  expect(await ask('revoke', { jti: 'a' }, until + 400 * 86_400_000, BY)).toMatch(/^invalid: until/)
  expect(await ask('revoke', { jti: 'a', issuer: 'b' } as never, until, BY)).toMatch(/^invalid: target/)
})
