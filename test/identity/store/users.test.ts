import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import { makeIdentityClient } from '../../../src/identity/client.ts'
import { BY, HASH, makeStore, user } from './identity-store.ts'

it('keeps users through an eviction, pages them by name, and changes only what it is told to', async () => {
  const { ask, stub } = makeStore('users')
  const made = await ask(
    'createUser',
    user('johndoe', { email: 'j@example.com', scopes: ['read'], roles: ['admin'] }),
    BY,
  )
  expect(made).toMatchObject({ username: 'johndoe', email: 'j@example.com', disabled: false, scopes: ['read'] })
  expect(await ask('createUser', user('johndoe'), BY)).toBe('exists')
  for (const name of ['alice', 'Zoë', '王']) await ask('createUser', user(name), BY)
  await evictDurableObject(stub)
  expect(await ask('getUser', 'johndoe')).toEqual(JSON.parse(JSON.stringify(made)))
  expect(await ask('userCredentials', 'johndoe')).toMatchObject({ user: { username: 'johndoe' }, passwordHash: HASH })
  const first = await ask('listUsers', { limit: 3 })
  expect(first).toMatchObject({
    items: [{ username: 'Zoë' }, { username: 'alice' }, { username: 'johndoe' }],
    next: 'johndoe',
  })
  expect(await ask('listUsers', { limit: 3, after: 'johndoe' })).toMatchObject({
    items: [{ username: '王' }],
    next: undefined,
  })
  expect(await ask('updateUser', 'johndoe', { email: null, scopes: [] }, BY)).toMatchObject({
    roles: ['admin'],
    scopes: [],
  })
  expect(await ask('getUser', 'johndoe')).not.toHaveProperty('email')
  expect(await ask('removeUser', 'johndoe', BY)).toBe('removed')
  expect(await ask('getUser', 'johndoe')).toBe('unknown')
  expect(await ask('updateUser', 'johndoe', {}, BY)).toBe('unknown')
  expect(await ask('removeUser', 'johndoe', BY)).toBe('unknown')
})

it('makes a first user once, however many ask at once', async () => {
  const { ask } = makeStore('first')
  const answers = await Promise.all(['a', 'b', 'c', 'd'].map((name) => ask('createFirstUser', user(name), BY)))
  expect(answers.filter((answer) => answer === 'exists')).toHaveLength(3)
})

it.each([
  ['a name with a space', { username: 'a b' }, 'username'],
  ['an empty name', { username: '' }, 'username'],
  ['a name of 129 characters', { username: 'a'.repeat(129) }, 'username'],
  ['a name that is not in NFC', { username: 'Zoe\u0308' }, 'username'],
  ['a lone surrogate', { username: 'a\ud800' }, 'username'],
  ['a bidi override', { username: 'a\u202eb' }, 'username'],
  ['a password instead of its hash', { passwordHash: 'secret-of-mine' }, 'passwordHash'],
  ['a scope with a space', { scopes: ['a b'] }, 'scopes.0'],
  ['a scope twice', { scopes: ['a', 'a'] }, 'scopes'],
  ['65 roles', { roles: Array.from({ length: 65 }, (_, i) => `r${i}`) }, 'roles'],
  ['a long e-mail address', { email: 'e'.repeat(257) }, 'email'],
  ['a field of no meaning', { admin: true }, 'admin'],
  ['a text for a flag', { disabled: 'no' as never }, 'disabled'],
] as const)('refuses %s by its field and without the value', async (_, parts, field) => {
  const answer = await makeStore('flaws').ask('createUser', user('ok', parts as object), BY)
  expect(answer).toMatch(new RegExp(`^invalid: ${field}: `))
  expect(answer).not.toContain('secret-of-mine')
})

it('revokes what a disabled user has, in the same transaction', async () => {
  const { ask } = makeStore('disabled')
  await ask('createUser', user('eve'), BY)
  const key = await ask('createApiKey', { owner: 'eve' }, BY)
  const started = await ask('startSession', {
    username: 'eve',
    passwordHash: HASH,
    clientId: '',
    scopes: [],
    idleMs: 1e6,
    lifeMs: 1e6,
    accessMs: 1e6,
  })
  if (typeof key === 'string' || typeof started === 'string') throw new Error('not made')
  const until = Date.now() + 60_000
  await ask('updateUser', 'eve', { disabled: true }, BY, { issuers: ['https://gw/'], until })
  expect(await ask('rotateRefreshToken', started.token, '', 1e6)).toBe('unknown')
  expect((await ask('revocationsSince', '')).entries.map(({ target }) => target)).toEqual([
    { sid: started.session.id },
    { keyId: key.apiKey.id },
    { issuer: 'https://gw/', subject: 'eve' },
  ])
  expect(await ask('createApiKey', { owner: 'eve' }, BY)).toBe('invalid: owner: this user is disabled')
  expect(await ask('startSession', { ...started.session, passwordHash: HASH, idleMs: 1, lifeMs: 1, accessMs: 1 })).toBe(
    'unknown',
  )
  await ask('updateUser', 'eve', { disabled: false }, BY)
  expect(await ask('rotateRefreshToken', started.token, '', 1e6)).toBe('unknown')
})

it('refuses what is beyond its bounds', async () => {
  const { ask, stub } = makeStore('bounds')
  await runInDurableObject(stub, (_, { storage }) => {
    storage.sql.exec(
      `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) INSERT INTO users SELECT 'u' || i, '', '{}' FROM n`,
    )
  })
  expect(await ask('createUser', user('one-more'), BY)).toBe('full')
})

it('answers unavailable when its storage fails or it takes too long, and undoes what was begun', async () => {
  // A store of its own: other files use the usual one in the same workerd.
  const { stub } = makeStore('failing')
  const namespace = { getByName: () => stub } as unknown as typeof env.IDENTITY
  const client = makeIdentityClient(namespace)
  expect(await client.createUser(user('jane'), BY)).toMatchObject({ username: 'jane' })
  await runInDurableObject(stub, (_, { storage }) => void storage.sql.exec('ALTER TABLE audit RENAME TO gone'))
  expect(await client.updateUser('jane', { disabled: true }, BY)).toBe('unavailable')
  expect(await client.getUser('jane')).toMatchObject({ disabled: false })
  expect(await client.auditLog({})).toBe('unavailable')
  const blocked = runInDurableObject(stub, (_, state) =>
    state.blockConcurrencyWhile(() => new Promise<void>((passed) => setTimeout(passed, 200))),
  )
  expect(await makeIdentityClient(namespace, 20).getUser('jane')).toBe('unavailable')
  await blocked
  const object = stub as unknown as { execute: (name: string, args: unknown[]) => Promise<unknown> }
  expect(await object.execute('add', [{ jti: 'x' }, 9e15])).toBeUndefined()
  expect(await object.execute('constructor', [])).toBeUndefined()
})

it('has a first user once: the door stays shut when everybody has been removed', async () => {
  const { ask } = makeStore('begun')
  expect(await ask('createFirstUser', user('ada'), BY)).toMatchObject({ username: 'ada' })
  expect(await ask('removeUser', 'ada', BY)).toBe('removed')
  expect(await ask('createFirstUser', user('eve'), BY)).toBe('exists')
})
