import fc from 'fast-check'
import { expect, it } from 'vitest'
import { BY, HASH, made, makeStore, user, type Inside } from './identity-store.ts'

const TERMS = { passwordHash: HASH, clientId: '', scopes: ['read'], idleMs: 1_000, lifeMs: 5_000, accessMs: 1_000 }
const start = (ask: Inside, username = 'jo') => made(ask('startSession', { username, ...TERMS }))

it('never has two live tokens of a family, and a used one always kills it', async () => {
  // Each step shows one of the tokens of the session so far: the newest, or an older one.
  const steps = fc.array(fc.nat(6), { minLength: 1, maxLength: 12 })
  await makeStore('sessions').inside((ask) => {
    ask('createUser', user('jo'), BY)
    fc.assert(
      fc.property(steps, (backs) => {
        const tokens = [start(ask).token]
        let isAlive = true
        for (const back of backs) {
          const shown = tokens[Math.max(0, tokens.length - 1 - back)]!
          const isNewest = shown === tokens.at(-1)
          const answer = ask('rotateRefreshToken', shown, '', 1_000)
          if (!isAlive) expect(answer).toBe('unknown')
          else if (!isNewest) expect(answer).toBe('reused')
          else tokens.push(made(answer).token)
          isAlive &&= isNewest
          const live = tokens.filter((token) => ask('findSession', token) !== 'unknown')
          expect(live).toEqual(isAlive ? [tokens.at(-1)] : [])
        }
      }),
      { numRuns: 60 },
    )
  })
})

it('tells the feed which access tokens a reuse makes void, and the audit log that it happened', async () => {
  await makeStore('reuse').inside((ask, clock) => {
    ask('createUser', user('jo'), BY)
    const first = start(ask)
    ask('rotateRefreshToken', first.token, '', 1_000)
    expect(ask('rotateRefreshToken', first.token, '', 1_000)).toBe('reused')
    expect(ask('revocationsSince', '').entries).toEqual([
      { target: { sid: first.session.id }, at: clock.at, until: clock.at + TERMS.accessMs },
    ])
    expect(made(ask('auditLog', { limit: 1 })).items).toMatchObject([
      { act: 'refresh.reused', on: first.session.id, by: { provider: 'gateway' }, details: { username: 'jo' } },
    ])
  })
})

it('gives one of two isolates that rotate at once the next token, and the other the death of the family', async () => {
  const { ask } = makeStore('race')
  await ask('createUser', user('jo'), BY)
  const { token } = made(await ask('startSession', { username: 'jo', ...TERMS, idleMs: 1e6, lifeMs: 1e6 }))
  const answers = await Promise.all([
    ask('rotateRefreshToken', token, '', 1e6),
    ask('rotateRefreshToken', token, '', 1e6),
  ])
  expect(answers.filter((answer) => answer === 'reused')).toHaveLength(1)
  const winner = answers.find((answer) => typeof answer !== 'string')
  expect(await ask('findSession', made(winner!).token)).toBe('unknown')
})

it('ends when it lies unused, and at its end however busy', async () => {
  await makeStore('ends').inside((ask, clock) => {
    ask('createUser', user('jo'), BY)
    const idle = start(ask)
    clock.at += 1_000
    expect(ask('findSession', idle.token)).toBe('unknown')
    expect(ask('rotateRefreshToken', idle.token, '', 1_000)).toBe('expired')
    let { token, session } = start(ask)
    const { endsAt } = session
    while (clock.at + 900 < endsAt) {
      clock.at += 900
      ;({ token, session } = made(ask('rotateRefreshToken', token, '', 1_000)))
      expect(session.expiresAt).toBeLessThanOrEqual(endsAt)
    }
    clock.at = endsAt
    expect(ask('rotateRefreshToken', token, '', 1_000)).toBe('expired')
  })
})

it('belongs to its client, whose tokens nobody else can use or kill', async () => {
  await makeStore('clients').inside((ask) => {
    ask('createUser', user('jo'), BY)
    ask('createOAuthClient', { clientId: 'app', confidential: false, grants: ['password', 'refresh_token'] }, BY)
    const { token } = made(ask('startSession', { username: 'jo', ...TERMS, clientId: 'app' }))
    expect(ask('rotateRefreshToken', token, '', 1_000)).toBe('unknown')
    expect(ask('revokeRefreshToken', token, 'other')).toBe('unknown')
    const next = made(ask('rotateRefreshToken', token, 'app', 1_000))
    expect(ask('updateOAuthClient', 'app', { disabled: true }, BY)).toMatchObject({ oauthClient: { disabled: true } })
    expect(ask('rotateRefreshToken', next.token, 'app', 1_000)).toBe('unknown')
    expect(ask('startSession', { username: 'jo', ...TERMS, clientId: 'app' })).toBe('unknown')
    expect(ask('startSession', { username: 'jo', ...TERMS, clientId: 'none' })).toBe('unknown')
    expect(ask('startSession', { username: 'nobody', ...TERMS })).toBe('unknown')
  })
})

it('is revoked by any of its tokens, and by an operator', async () => {
  await makeStore('revoked').inside((ask) => {
    ask('createUser', user('jo'), BY)
    const first = start(ask)
    const next = made(ask('rotateRefreshToken', first.token, '', 1_000))
    expect(ask('revokeRefreshToken', first.token, '')).toBe('revoked')
    expect(ask('rotateRefreshToken', next.token, '', 1_000)).toBe('unknown')
    const other = start(ask)
    expect(made(ask('listSessions', { owner: 'jo' })).items).toEqual([other.session])
    expect(ask('revokeSession', other.session.id, BY)).toBe('revoked')
    expect(ask('revokeSession', other.session.id, BY)).toBe('unknown')
    for (const text of ['', 'umr_', `${other.token}a`, other.token.slice(0, -1), other.token.replace('umr_', 'umb_')])
      expect(ask('rotateRefreshToken', text, '', 1_000)).toBe('unknown')
  })
})

it('keeps 50 for a user, kills the oldest for one more, and stores no token', async () => {
  const store = makeStore('many')
  let tokens: string[] = []
  await store.inside((ask, clock) => {
    ask('createUser', user('jo'), BY)
    tokens = Array.from({ length: 51 }, () => {
      clock.at++
      return start(ask).token
    })
    expect(tokens.map((token) => ask('findSession', token)).filter((found) => found === 'unknown')).toHaveLength(1)
    expect(ask('findSession', tokens[0]!)).toBe('unknown')
  })
  const stored = JSON.stringify(await store.rows('families'))
  expect(tokens.filter((token) => stored.includes(token.slice(4, 26)) || stored.includes(token.slice(26)))).toEqual([])
})
