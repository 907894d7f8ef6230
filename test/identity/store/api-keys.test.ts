import { runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { expect, it } from 'vitest'
import { API_KEY_RETENTION_MS, MAX_API_KEY_CACHE_MS } from '../../../src/identity/store-limits.ts'
import { sha256Hex } from '../../../src/identity/password.ts'
import { BY, made, makeStore, user } from './identity-store.ts'

it('finds a key by its hash until it expires or is revoked, and tells the feed', async () => {
  await makeStore('keys').inside((ask, clock) => {
    const { key, apiKey } = made(
      ask('createApiKey', { owner: 'billing', scopes: ['read'], tier: 'gold', expiresAt: clock.at + 1_000 }, BY),
    )
    expect(key).toMatch(/^umb_[0-9A-Za-z]{43}$/)
    const hash = sha256Hex(key)
    expect(ask('findApiKey', hash)).toMatchObject({ id: apiKey.id, owner: 'billing', scopes: ['read'], tier: 'gold' })
    for (const other of [key, apiKey.id, hash.toUpperCase(), '', `${hash}' OR 1=1 --`])
      expect(ask('findApiKey', other)).toBe('unknown')
    clock.at += 1_000
    expect(ask('findApiKey', hash)).toBe('expired')
    clock.at -= 1
    expect(ask('revokeApiKey', apiKey.id, BY)).toMatchObject({ revokedAt: clock.at })
    expect(ask('findApiKey', hash)).toBe('revoked')
    expect(ask('revocationsSince', '').entries).toEqual([
      { target: { keyId: apiKey.id }, at: clock.at, until: clock.at + MAX_API_KEY_CACHE_MS },
    ])
    expect(ask('revokeApiKey', 'none', BY)).toBe('unknown')
    expect(ask('createApiKey', { owner: 'a', expiresAt: clock.at }, BY)).toMatch(/^invalid: expiresAt/)
    expect(ask('createApiKey', { owner: 'a b' }, BY)).toMatch(/^invalid: owner/)
  })
})

it('lists the keys of one owner in pages without overlap', async () => {
  await makeStore('pages').inside((ask) => {
    const ids = Array.from({ length: 7 }, () => made(ask('createApiKey', { owner: 'a' }, BY)).apiKey.id)
    ask('createApiKey', { owner: 'b' }, BY)
    const seen: string[] = []
    let after: string | undefined = ''
    while (after !== undefined) {
      const page: { items: readonly { id: string }[]; next: string | undefined } = made(
        ask('listApiKeys', { owner: 'a', limit: 3, after }),
      )
      seen.push(...page.items.map(({ id }) => id))
      after = page.next
    }
    expect(seen).toEqual(ids.toSorted())
    for (const limit of [0, 201, 1.5, NaN]) expect(ask('listApiKeys', { limit })).toMatch(/^invalid: limit/)
  })
})

it('forgets dead keys after a month, and no live one', async () => {
  const { ask, stub, rows } = makeStore('dead')
  const now = Date.now()
  made(await ask('createApiKey', { owner: 'a', expiresAt: now + 1_000 }, BY))
  made(await ask('createApiKey', { owner: 'a' }, BY))
  await ask('revokeApiKey', made(await ask('createApiKey', { owner: 'a' }, BY)).apiKey.id, BY)
  await runInDurableObject(stub, (instance) => void (instance.now = () => now + API_KEY_RETENTION_MS - 1_000))
  await runDurableObjectAlarm(stub)
  expect(await rows('api_keys')).toHaveLength(3)
  await runInDurableObject(stub, (instance) => void (instance.now = () => now + API_KEY_RETENTION_MS + 10_000))
  await runDurableObjectAlarm(stub)
  expect(await rows('api_keys')).toHaveLength(1)
})

it('keeps neither API key nor client secret, and writes down who did what without any of them', async () => {
  const store = makeStore('secrets')
  const { key, apiKey } = made(await store.ask('createApiKey', { owner: 'billing' }, BY))
  const { secret } = made(await store.ask('createOAuthClient', { clientId: 'app', roles: ['ops'] }, BY))
  const renewed = made(await store.ask('updateOAuthClient', 'app', { newSecret: true }, BY))
  await store.ask('createUser', user('jo', { email: 'jo@example.com', fullName: 'Jo Doe' }), BY)
  await store.ask('updateUser', 'jo', { roles: ['admin'] }, BY)
  expect(await store.ask('recordChange', 'breakers.steer', 'users', { before: 'closed' }, BY)).toBe('recorded')
  expect(await store.ask('recordChange', 'a', 'b', { long: 'x'.repeat(5_000) }, BY)).toMatch(/^invalid: details/)
  expect(await store.ask('oauthClientCredentials', 'app')).toMatchObject({ secretHash: sha256Hex(renewed.secret!) })
  const tables = ['users', 'clients', 'api_keys', 'audit'].map(store.rows)
  const stored = JSON.stringify(await Promise.all(tables))
  for (const one of [key, secret!, renewed.secret!]) expect(stored).not.toContain(one.slice(4))
  const log = made(await store.ask('auditLog', {})).items
  expect(log.map(({ act, on }) => `${act} ${on}`)).toEqual([
    'breakers.steer users',
    'user.update jo',
    'user.create jo',
    'client.update app',
    'client.create app',
    `apiKey.create ${apiKey.id}`,
  ])
  expect(log[1]).toMatchObject({ by: BY, details: { fields: ['roles'], roles: ['admin'] } })
  expect(JSON.stringify(log)).not.toMatch(/scrypt|jo@|Doe|[0-9a-f]{64}/)
  expect(made(await store.ask('auditLog', { limit: 2, after: '6' })).items.map(({ seq }) => seq)).toEqual([5, 4])
})

it('lets nobody change or delete what is in the audit log', async () => {
  const { ask, stub } = makeStore('append-only')
  await ask('createUser', user('jo'), BY)
  await runInDurableObject(stub, (_, { storage }) => {
    expect(() => storage.sql.exec(`UPDATE audit SET data = '{}'`)).toThrow(/append-only/)
    expect(() => storage.sql.exec('DELETE FROM audit')).toThrow(/append-only/)
    expect(() => storage.sql.exec(`INSERT OR REPLACE INTO audit VALUES (1, 0, '{}')`)).toThrow(/append-only/)
  })
})

it('gives a public client no secret and no grant that needs one', async () => {
  await makeStore('public').inside((ask) => {
    const asked = { clientId: 'spa', confidential: false, grants: ['password'] as const }
    expect(made(ask('createOAuthClient', asked, BY))).toMatchObject({
      secret: undefined,
      oauthClient: { confidential: false },
    })
    expect(ask('createOAuthClient', asked, BY)).toBe('exists')
    expect(ask('createOAuthClient', { clientId: 'b', confidential: false }, BY)).toMatch(/^invalid: grants/)
    expect(ask('updateOAuthClient', 'spa', { grants: ['client_credentials'] }, BY)).toMatch(/^invalid: grants/)
    expect(ask('updateOAuthClient', 'spa', { newSecret: true }, BY)).toMatch(/^invalid: newSecret/)
    expect(ask('oauthClientCredentials', 'spa')).toMatchObject({ secretHash: undefined })
    expect(made(ask('listOAuthClients', {})).items).toHaveLength(1)
    expect(ask('removeOAuthClient', 'spa', BY)).toBe('removed')
    expect(ask('getOAuthClient', 'spa')).toBe('unknown')
  })
})
