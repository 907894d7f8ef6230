import { afterEach, describe, expect, it, vi } from 'vitest'
import { makeRevocationSnapshot, type RevocationStatus } from '../../../src/auth/revocation/revocation-snapshot.ts'
import type { Identity } from '../../../src/core/exchange.ts'
import type { Revocation, RevocationTarget, RevocationUpdate } from '../../../src/identity/types.ts'

const START = 1_800_000_000_000
const HOUR = 3_600_000

const caller = (claims: Record<string, unknown> = {}, parts: Partial<Identity> = {}): Identity => ({
  provider: 'main',
  issuer: 'https://id.test/',
  subject: 'ada',
  scopes: [],
  roles: [],
  claims: { iat: START / 1000 - 60, ...claims },
  ...parts,
})

/** A store in one page, whose answers can be held back, and a snapshot of it on a clock that a test moves. */
function setup() {
  const store = {
    entries: [] as Revocation[],
    asked: 0,
    id: 'a',
    pageSize: Infinity,
    answer: async (news: RevocationUpdate): Promise<RevocationUpdate | 'unavailable'> => news,
  }
  const clock = { now: START }
  const feed = (cursor: string) => {
    store.asked++
    const [id, at] = cursor.split(':')
    const from = id === store.id ? Number(at) : 0
    const entries = store.entries.slice(from, from + store.pageSize)
    const upTo = from + entries.length
    const more = upTo < store.entries.length
    return store.answer({ entries, cursor: `${store.id}:${upTo}`, more, reset: id !== store.id })
  }
  const revocations = makeRevocationSnapshot(feed, () => clock.now)
  const work: Promise<unknown>[] = []
  const ask = (who = caller(), skewMs = 0) =>
    revocations.status(who, skewMs, clock.now, (promise) => void work.push(promise))
  const settle = async () => void (await Promise.all(work.splice(0)))
  const revoke = (target: RevocationTarget, until = clock.now + HOUR) =>
    void store.entries.push({ target, at: clock.now, until })
  return { store, clock, ask, settle, revoke, size: revocations.size }
}

const never = () => new Promise<never>(() => {})

afterEach(() => void vi.useRealTimers())

describe('revocations', () => {
  it.each<[string, RevocationTarget, RevocationStatus, Identity]>([
    ['jti', { jti: 't1' }, 'revoked', caller({ jti: 't1' })],
    ['another jti', { jti: 't1' }, 'good', caller({ jti: 't2' })],
    ['a jti that is a number', { jti: '17' }, 'revoked', caller({ jti: 17 })],
    ['a jti that is a list', { jti: 't1' }, 'good', caller({ jti: ['t1'] })],
    ['session', { sid: 's1' }, 'revoked', caller({ sid: 's1' })],
    ['session under jti', { sid: 's1' }, 'good', caller({ jti: 's1' })],
    ['API key', { keyId: 'k1' }, 'revoked', caller({}, { keyId: 'k1' })],
    ['subject', { issuer: 'https://id.test/', subject: 'ada' }, 'revoked', caller()],
    ['subject of another issuer', { issuer: 'https://other.test/', subject: 'ada' }, 'good', caller()],
    ['another subject', { issuer: 'https://id.test/', subject: 'eve' }, 'good', caller()],
    ['subject, without iat', { issuer: 'https://id.test/', subject: 'ada' }, 'revoked', caller({ iat: undefined })],
    ['subject, iat a text', { issuer: 'https://id.test/', subject: 'ada' }, 'revoked', caller({ iat: '9e9' })],
    [
      'subject, in the second of it',
      { issuer: 'https://id.test/', subject: 'ada' },
      'revoked',
      caller({ iat: START / 1000 }),
    ],
    ['subject, before', { issuer: 'https://id.test/', subject: 'ada' }, 'good', caller({ iat: START / 1000 + 1 })],
    ['__proto__', { jti: '__proto__' }, 'good', caller()],
  ])('%s', async (_, target, expected, who) => {
    const { ask, revoke } = setup()
    revoke(target)
    expect(await ask(who)).toBe(expected)
  })

  it('allows for an issuer whose clock is ahead', async () => {
    const { ask, revoke } = setup()
    revoke({ issuer: 'https://id.test/', subject: 'ada' })
    const ahead = caller({ iat: START / 1000 + 30 })
    expect([await ask(ahead, 30_000), await ask(ahead, 29_999)]).toEqual(['revoked', 'good'])
  })

  it('are asked for once by all who come first, and then by nobody for 2 s', async () => {
    const { store, clock, ask } = setup()
    expect(new Set(await Promise.all(Array.from({ length: 50 }, async () => ask())))).toEqual(new Set(['good']))
    clock.now += 1_999
    expect(ask()).toBe('good')
    expect(store.asked).toBe(1)
  })

  it('are refreshed in the background from 2 s of age, by one, while requests go on at once', async () => {
    const { store, clock, ask, settle, revoke } = setup()
    await ask(caller({ jti: 't1' }))
    clock.now += 2_000
    revoke({ jti: 't1' })
    for (let requests = 0; requests < 20; requests++) expect(ask(caller({ jti: 't1' }))).toBe('good')
    expect(store.asked).toBe(2)
    await settle()
    expect(ask(caller({ jti: 't1' }))).toBe('revoked')
  })

  it('are awaited from 5 s of age, so that an idle isolate knows them at its first request', async () => {
    const { store, clock, ask, revoke } = setup()
    await ask()
    revoke({ jti: 't1' })
    clock.now += HOUR / 2
    const answers = Array.from({ length: 20 }, () => ask(caller({ jti: 't1' })))
    expect(answers.every((answer) => answer instanceof Promise)).toBe(true)
    expect(new Set(await Promise.all(answers.map(async (answer) => answer)))).toEqual(new Set(['revoked']))
    expect(store.asked).toBe(2)
  })

  it('are in force within 5 s whatever the store does, or it is said that nobody knows', async () => {
    const { store, clock, ask, settle } = setup()
    await ask()
    store.answer = () => Promise.resolve('unavailable')
    clock.now += 4_999
    expect(ask()).toBe('good')
    await settle()
    clock.now += 1
    expect(await ask()).toBe('unknown')
    store.answer = (news) => Promise.resolve(news)
    clock.now += 500
    expect(ask()).toBe('unknown')
    await settle()
    expect(ask()).toBe('good')
  })

  it('are waited for 250 ms, and for the next 2 s not at all, in which the store is asked again', async () => {
    const { store, clock, ask } = setup()
    store.answer = never
    const ended: number[] = []
    const timed = async () => {
      const status = await ask()
      ended.push(waited)
      return status
    }
    let waited = 0
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const statuses = Promise.all([timed(), timed(), timed()])
    for (; waited < 900 && ended.length < 3; waited += 5) await vi.advanceTimersByTimeAsync(5)
    expect(Math.min(...ended)).toBeGreaterThanOrEqual(240)
    expect(Math.max(...ended)).toBeLessThan(900)
    const answers = await statuses
    expect(answers).toEqual(['unknown', 'unknown', 'unknown'])
    expect(ask()).toBe('unknown')
    expect(store.asked).toBe(1)
    clock.now += 1_000
    expect(ask()).toBe('unknown')
    expect(store.asked).toBe(2)
  })

  it('that are known stay in force while the store is down', async () => {
    const { store, clock, ask, revoke } = setup()
    revoke({ jti: 't1' })
    await ask()
    store.answer = () => Promise.resolve('unavailable')
    clock.now += 10_000
    expect(await ask(caller({ jti: 't2' }))).toBe('unknown')
    expect(await ask(caller({ jti: 't1' }))).toBe('revoked')
  })

  it('come in pages, and from the start when the store is another one', async () => {
    const { store, clock, ask, revoke, size } = setup()
    for (let nth = 0; nth < 25; nth++) revoke({ jti: `t${nth}` })
    store.pageSize = 10
    expect(await ask(caller({ jti: 't24' }))).toBe('revoked')
    expect([store.asked, size()]).toEqual([3, 25])
    store.id = 'b'
    store.entries = [{ target: { sid: 's1' }, at: clock.now, until: clock.now + HOUR }]
    clock.now += 5_000
    expect(await ask(caller({ sid: 's1' }))).toBe('revoked')
    expect(ask(caller({ jti: 't24' }))).toBe('good')
    expect(size()).toBe(1)
  })

  it('are forgotten when the last token that they concern has expired', async () => {
    const { clock, ask, settle, revoke, size } = setup()
    revoke({ jti: 't1' }, clock.now + HOUR)
    revoke({ issuer: 'i', subject: 's' }, clock.now + HOUR)
    revoke({ sid: 's1' }, clock.now + 2 * HOUR)
    await ask()
    expect(size()).toBe(3)
    // Providers may take a token up to five minutes past its `exp`, and until then it must not come back.
    clock.now += HOUR + 299_999
    expect(await ask(caller({ jti: 't1' }))).toBe('revoked')
    await settle()
    expect(size()).toBe(3)
    clock.now += 60_000
    await ask()
    await settle()
    expect(size()).toBe(1)
  })

  it('survive a clock that is set back', async () => {
    const { clock, ask, revoke } = setup()
    await ask()
    revoke({ jti: 't1' })
    clock.now -= HOUR
    expect(await ask(caller({ jti: 't1' }))).toBe('revoked')
  })
})
