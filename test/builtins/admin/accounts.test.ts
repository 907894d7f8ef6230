import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { Platform } from '../../../src/core/platform.ts'
import { ISSUER, JWKS_URL, makeIssuer, makeKey, sign } from '../../auth/issuer.ts'
import { makeTestGateway } from '../../support/gateway-in-workerd.ts'

const key = await makeKey('k1')
const issuer = makeIssuer(key)
const OWN = 'https://gw.test/'

const authProviders = {
  main: { type: 'jwt', issuer: ISSUER, audience: 'api', algorithms: ['ES256'], jwksUri: JWKS_URL },
  gateway: { type: 'jwt', issuer: OWN, audience: 'api', algorithms: ['ES256'], keys: 'self' },
}

let nth = 0

/** An admin route over a store of its own, which nobody else writes to. */
async function deploy(parts: Partial<Platform> = {}) {
  const name = `store-${nth++}`
  const gateway = makeTestGateway(
    {
      authProviders,
      routes: [
        {
          id: 'admin',
          match: { path: '/admin/*' },
          builtin: 'admin',
          policies: { auth: { providers: ['main'], roles: ['admin'] } },
        },
      ],
    },
    {
      identityStore: { getByName: () => env.IDENTITY.getByName(name) } as unknown as Platform['identityStore'],
      fetch: (url, init) => issuer.fetch(url, init),
      variable: (variable) => (variable === 'LOG_LEVEL' ? 'silent' : undefined),
      ...parts,
    },
  )
  const bearer = { authorization: `Bearer ${await sign(key, { roles: ['admin'] })}` }
  return async (method: string, path: string, body?: unknown) => {
    const response = await gateway.fetch(`/admin/${path}`, {
      method,
      headers: { ...bearer, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    expect(response.headers.get('cache-control')).toBe('no-store')
    return { status: response.status, body: await response.json<Record<string, never> & { detail?: string }>() }
  }
}

const TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/
const time = expect.stringMatching(TIME)
const PASSWORD = 'correct horse battery'
const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()

describe('users', () => {
  it('are made, seen, changed, listed and removed, and no answer holds a password or its hash', async () => {
    const admin = await deploy()
    const ada = {
      username: 'ada',
      email: 'ada@example.com',
      full_name: 'Ada L',
      scopes: ['users:read'],
      roles: ['dev'],
    }
    const shown = { ...ada, disabled: false, created_at: time, updated_at: time }
    expect(await admin('POST', 'users', { ...ada, password: PASSWORD })).toEqual({ status: 201, body: shown })
    expect(await admin('GET', 'users/ada')).toEqual({ status: 200, body: shown })
    const changed = await admin('PATCH', 'users/ada', {
      disabled: true,
      full_name: null,
      roles: [],
      password: `${PASSWORD}2`,
    })
    expect(changed).toEqual({ status: 200, body: { ...shown, disabled: true, full_name: null, roles: [] } })
    await admin('POST', 'users', { username: 'bob@example.com', password: PASSWORD })
    const listed = await admin('GET', 'users')
    expect(listed.body).toEqual({
      users: [changed.body, expect.objectContaining({ username: 'bob@example.com', email: null, scopes: [] })],
      next: null,
    })
    expect(await admin('GET', 'users/bob%40example.com')).toMatchObject({ status: 200 })
    expect(await admin('DELETE', 'users/ada')).toEqual({ status: 200, body: { username: 'ada', removed: true } })
    expect(await admin('GET', 'users/ada')).toMatchObject({
      status: 404,
      body: { code: 'admin-not-found', detail: 'there is no user "ada"' },
    })
    for (const method of ['PATCH', 'DELETE'])
      expect(await admin(method, 'users/ada', method === 'PATCH' ? { disabled: true } : undefined)).toMatchObject({
        status: 404,
      })
  })

  it('come in pages', async () => {
    const admin = await deploy()
    for (const username of ['a', 'b', 'c']) await admin('POST', 'users', { username, password: PASSWORD })
    const names = ({ body }: Awaited<ReturnType<typeof admin>>) => [
      (body.users as unknown as { username: string }[]).map(({ username }) => username),
      body.next,
    ]
    expect(names(await admin('GET', 'users?limit=2'))).toEqual([['a', 'b'], 'b'])
    expect(names(await admin('GET', 'users?limit=2&after=b'))).toEqual([['c'], null])
  })

  it('are refused twice', async () => {
    const admin = await deploy()
    await admin('POST', 'users', { username: 'ada', password: PASSWORD })
    expect(await admin('POST', 'users', { username: 'ada', password: PASSWORD })).toMatchObject({
      status: 409,
      body: { code: 'admin-exists', detail: 'there is a user "ada" already' },
    })
  })

  it.each<[what: string, body: object, detail: RegExp]>([
    ['a name that a path would have to escape', { username: 'a/b' }, /^username: expected 1 to 64 of a-z/],
    ['a name of dots', { username: '..' }, /^username: /],
    ['a name in capitals, which looks like another', { username: 'Ada' }, /^username: /],
    ['a name that is too long', { username: 'a'.repeat(65) }, /^username: /],
    ['no password', { password: undefined }, /^password: required/],
    ['a short password', { password: 'short secret'.slice(1) }, /^password: expected a text of 12 to 256 characters$/],
    ['a password that is no text', { password: 123456789012 }, /^password: expected a text of 12 to 256 characters$/],
    ['a long password', { password: 'x'.repeat(257) }, /^password: /],
    ['a slip of the pen', { role: ['admin'] }, /^role: unknown key; did you mean "roles"\?/],
    ['a scope with a space', { scopes: ['a b'] }, /^scopes\[0\]: expected a scope/],
    ['a scope twice', { scopes: ['a', 'a'] }, /^scopes\[1\]: "a" stands twice/],
    ['an e-mail address that is none', { email: 'ada' }, /^email: expected an e-mail address/],
    ['a hash in the place of a password', { passwordHash: 'x' }, /^passwordHash: unknown key/],
    ['__proto__', JSON.parse('{"__proto__":{"roles":["admin"]}}') as object, /^__proto__: unknown key/],
  ])('refuse %s', async (_, wrong, detail) => {
    const admin = await deploy()
    const fields = { username: 'ada', password: PASSWORD }
    const body = Object.hasOwn(wrong, '__proto__')
      ? (JSON.parse('{"username":"ada","password":"correct horse battery","__proto__":{"roles":["admin"]}}') as object)
      : { ...fields, ...wrong }
    const answer = await admin('POST', 'users', body)
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'admin-invalid', detail: expect.stringMatching(detail) },
    })
    expect(answer.body.detail).not.toContain('horse')
    expect((await admin('GET', 'users')).body).toEqual({ users: [], next: null })
  })

  it('refuse a query that says nothing, with the nearest that does', async () => {
    const admin = await deploy()
    expect((await admin('GET', 'users?limt=2')).body.detail).toMatch(/^limt: unknown key; did you mean "limit"\?/)
    for (const limit of ['0', '201', '-1', 'x'])
      expect((await admin('GET', `users?limit=${limit}`)).body.detail).toMatch(
        /^limit: expected a number from 1 to 200/,
      )
  })

  it.each<[what: string, revoked: boolean, change: object | undefined]>([
    ['get another e-mail address', false, { email: 'a@example.com', full_name: 'A' }],
    ['are disabled', true, { disabled: true }],
    ['get another password', true, { password: PASSWORD }],
    ['get other roles', true, { roles: [] }],
    ['get other scopes', true, { scopes: ['x'] }],
    ['go', true, undefined],
  ])('who %s lose the tokens they have: %s', async (_, revoked, change) => {
    const admin = await deploy()
    await admin('POST', 'users', { username: 'ada', password: PASSWORD })
    expect(await admin(change === undefined ? 'DELETE' : 'PATCH', 'users/ada', change)).toMatchObject({ status: 200 })
    const { body } = await admin('GET', 'revocations')
    expect(body.revocations).toEqual(revoked ? [{ issuer: OWN, subject: 'ada', at: time, until: time }] : [])
  })
})

describe('clients', () => {
  it('end with their tokens in one call of the store, which nothing can come between', async () => {
    const object = env.IDENTITY.getByName('store-of-one-call') as unknown as ReturnType<
      Platform['identityStore']['getByName']
    >
    const calls: string[] = []
    const admin = await deploy({
      identityStore: {
        getByName: () => ({
          execute(name: string, args: readonly unknown[]) {
            calls.push(name)
            return object.execute(name as never, args)
          },
        }),
      } as unknown as Platform['identityStore'],
    })
    const changes = (path: string) => [
      () => admin('PATCH', path, { roles: ['dev'] }),
      () => admin('PATCH', path, { new_secret: true }),
      () => admin('PATCH', path, { disabled: true }),
      () => admin('DELETE', path),
    ]
    for (const [nth, change] of changes('clients/cron').entries()) {
      if (nth === 0) await admin('POST', 'clients', { client_id: 'cron' })
      const before = (await admin('GET', 'revocations')).body
      calls.length = 0
      expect((await change()).body).not.toHaveProperty('tokens_revoked')
      expect(calls).toEqual([nth === 3 ? 'removeOAuthClient' : 'updateOAuthClient'])
      const after = (await admin('GET', 'revocations')).body
      expect(after).toMatchObject({ revocations: [{ issuer: OWN, subject: 'cron' }] })
      expect(after).not.toEqual(before)
    }
    calls.length = 0
    await admin('POST', 'clients', { client_id: 'other' })
    await admin('PATCH', 'clients/other', { name: 'Another' })
    expect((await admin('GET', 'revocations')).body).toMatchObject({ revocations: [{ subject: 'cron' }] })
  })

  it('are made, changed and removed; a secret is shown once, when it is made', async () => {
    const admin = await deploy()
    const made = await admin('POST', 'clients', { client_id: 'cron', name: 'Nightly', scopes: ['orders:read'] })
    expect(made).toEqual({
      status: 201,
      body: {
        client_id: 'cron',
        name: 'Nightly',
        disabled: false,
        confidential: true,
        grants: ['client_credentials'],
        scopes: ['orders:read'],
        roles: [],
        created_at: time,
        updated_at: time,
        client_secret: expect.any(String),
      },
    })
    const { client_secret: secret, ...shown } = made.body
    expect((await admin('GET', 'clients/cron')).body).toEqual(shown)
    const renewed = await admin('PATCH', 'clients/cron', { new_secret: true })
    expect(renewed.body.client_secret).not.toBe(secret)
    expect((await admin('PATCH', 'clients/cron', { name: null })).body).toEqual({
      ...shown,
      name: null,
      updated_at: time,
    })
    expect((await admin('GET', 'clients')).body).toMatchObject({ clients: [{ client_id: 'cron' }], next: null })
    expect(await admin('POST', 'clients', { client_id: 'cron' })).toMatchObject({ status: 409 })
    expect((await admin('DELETE', 'clients/cron')).body).toEqual({ client_id: 'cron', removed: true })
    expect((await admin('GET', 'revocations')).body.revocations).toMatchObject([{ issuer: OWN, subject: 'cron' }])
  })

  it('refuse a grant that there is not, and a public client that has to keep a secret', async () => {
    const admin = await deploy()
    const refused = await admin('POST', 'clients', { client_id: 'cron', grants: ['pasword'] })
    expect(refused.body.detail).toMatch(/^grants\[0\]: did you mean "password"\?/)
    const open = await admin('POST', 'clients', {
      client_id: 'spa',
      confidential: false,
      grants: ['client_credentials'],
    })
    expect(open).toMatchObject({ status: 400, body: { code: 'admin-invalid' } })
  })
})

describe('API keys', () => {
  it('are shown once, listed by owner without the key, and revoked', async () => {
    const admin = await deploy()
    const expires = inAnHour()
    const made = await admin('POST', 'keys', { owner: 'acme', scopes: ['a'], tier: 'gold', expires_at: expires })
    const shown = {
      id: expect.any(String),
      owner: 'acme',
      scopes: ['a'],
      roles: [],
      tier: 'gold',
      expires_at: expires,
      created_at: time,
      revoked_at: null,
    }
    expect(made).toEqual({ status: 201, body: { ...shown, key: expect.stringMatching(/^umb_[A-Za-z0-9]{20,}$/) } })
    await admin('POST', 'keys', { owner: 'other' })
    expect((await admin('GET', 'keys?owner=acme')).body).toEqual({ keys: [shown], next: null })
    expect((await admin('GET', 'keys')).body.keys).toHaveLength(2)
    const revoked = await admin('DELETE', `keys/${String(made.body.id)}`)
    expect(revoked).toEqual({ status: 200, body: { ...shown, revoked_at: time } })
    expect(await admin('DELETE', 'keys/nothing')).toMatchObject({ status: 404 })
  })

  it.each([['2020-01-01T00:00:00Z'], ['tomorrow'], ['2031-01-01'], [1_900_000_000]])(
    'never expire at %j',
    async (expires) => {
      const answer = await (await deploy())('POST', 'keys', { owner: 'acme', expires_at: expires })
      expect(answer).toMatchObject({ status: 400 })
      expect(answer.body.detail).toMatch(/^expires_at: expected a time to come/)
    },
  )
})

describe('sessions', () => {
  it('are listed by owner without their tokens, and ended with their access tokens', async () => {
    const admin = await deploy()
    await admin('POST', 'users', { username: 'ada', password: PASSWORD })
    const store = env.IDENTITY.getByName(`store-${nth - 1}`) as unknown as Store
    const { passwordHash } = await store.execute('userCredentials', ['ada'])
    const newSession = {
      username: 'ada',
      passwordHash,
      clientId: '',
      scopes: ['a'],
      idleMs: 60_000,
      lifeMs: 3_600_000,
      accessMs: 60_000,
    }
    const { token } = await store.execute('startSession', [newSession])
    const listed = await admin('GET', 'sessions?owner=ada')
    const times = { started_at: time, expires_at: time, ends_at: time }
    const session = { id: expect.any(String), username: 'ada', client_id: null, scopes: ['a'], ...times }
    expect(listed.body).toEqual({ sessions: [session], next: null })
    expect(JSON.stringify(listed.body)).not.toContain(token)
    const [{ id }] = listed.body.sessions as unknown as [{ id: string }]
    expect(await admin('DELETE', `sessions/${id}`)).toEqual({ status: 200, body: { id, revoked: true } })
    expect((await admin('GET', 'sessions')).body).toEqual({ sessions: [], next: null })
    expect((await admin('GET', 'revocations')).body.revocations).toMatchObject([{ sid: id }])
    expect(await admin('DELETE', `sessions/${id}`)).toMatchObject({ status: 404 })
  })
})

/** What the store's object says to whoever asks it by name. */
interface Store {
  readonly execute: (
    name: string,
    args: readonly unknown[],
  ) => Promise<{ readonly token: string; readonly passwordHash: string }>
}

describe('revocations', () => {
  it('name a token, all of a subject, or all of a login', async () => {
    const admin = await deploy()
    const until = inAnHour()
    for (const target of [{ jti: 't1' }, { issuer: ISSUER, subject: 'ada' }, { sid: 's1' }])
      expect(await admin('POST', 'revocations', { ...target, until })).toEqual({
        status: 201,
        body: { ...target, until },
      })
    expect((await admin('GET', 'revocations')).body).toEqual({
      revocations: [
        { sid: 's1', at: time, until },
        { issuer: ISSUER, subject: 'ada', at: time, until },
        { jti: 't1', at: time, until },
      ],
      next: null,
    })
  })

  it.each<[what: string, body: object, detail: RegExp]>([
    ['nothing', {}, /^\$: expected "jti", or "issuer" and "subject", or "sid"/],
    ['two things', { jti: 'a', sid: 'b' }, /^\$: expected "jti"/],
    ['an issuer alone', { issuer: ISSUER }, /^subject: expected/],
    ['a subject alone', { subject: 'ada' }, /^issuer: expected/],
    [
      'an issuer that nobody believes',
      { issuer: `${ISSUER}x`, subject: 'a' },
      /^issuer: did you mean "https:\/\/id.test\/"\?/,
    ],
  ])('refuse %s', async (_, wrong, detail) => {
    const answer = await (await deploy())('POST', 'revocations', { ...wrong, until: inAnHour() })
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'admin-invalid', detail: expect.stringMatching(detail) },
    })
  })
})

describe('the audit log', () => {
  it('says who did what, when and from where, newest first, and holds no secret', async () => {
    const admin = await deploy()
    await admin('POST', 'users', { username: 'ada', password: PASSWORD, roles: ['dev'] })
    await admin('PATCH', 'users/ada', { roles: ['admin'] })
    const { body: client } = await admin('POST', 'clients', { client_id: 'cron' })
    const { body: made } = await admin('POST', 'keys', { owner: 'acme' })
    await admin('POST', 'users', { username: 'ada', password: PASSWORD })
    const { body } = await admin('GET', 'audit')
    const by = {
      provider: 'main',
      issuer: ISSUER,
      subject: 'ada',
      client: expect.any(String),
      request: expect.any(String),
    }
    const entry = (act: string, on: string) =>
      expect.objectContaining({ seq: expect.any(Number), at: time, act, on, by })
    expect(body).toEqual({
      audit: [
        entry('apiKey.create', made.id!),
        entry('client.create', 'cron'),
        entry('user.update', 'ada'),
        entry('user.create', 'ada'),
      ],
      next: null,
    })
    expect(body.audit![2]).toMatchObject({
      details: { fields: ['roles'], before: { roles: ['dev'] }, roles: ['admin'] },
    })
    const text = JSON.stringify(body)
    for (const secret of [PASSWORD, client.client_secret!, made.key!, '$scrypt']) expect(text).not.toContain(secret)
    const { body: page } = await admin('GET', 'audit?limit=1')
    expect((await admin('GET', `audit?limit=1&after=${String(page.next)}`)).body.audit).toEqual([
      entry('client.create', 'cron'),
    ])
  })

  it.each(['POST', 'PUT', 'PATCH', 'DELETE'])('takes no %s', async (method) => {
    expect(await (await deploy())(method, 'audit')).toMatchObject({ status: 405 })
  })
})

describe('a store that does not answer', () => {
  it('is said with 503, also of a change, which may have been made', async () => {
    const real = env.IDENTITY.getByName('real') as unknown as { execute: (...asked: unknown[]) => Promise<unknown> }
    const execute = (name: string, args: unknown) =>
      name === 'revocationsSince' ? real.execute(name, args) : Promise.reject(new Error('no'))
    const hanging = { getByName: () => ({ execute }) } as unknown as Platform['identityStore']
    const admin = await deploy({ identityStore: hanging })
    const silent = { code: 'state-unavailable', detail: expect.stringMatching(/did not respond; a change may/) }
    for (const path of ['users', 'users/ada', 'clients', 'keys', 'revocations', 'sessions', 'audit'])
      expect(await admin('GET', path)).toMatchObject({ status: 503, body: silent })
    expect(await admin('POST', 'keys', { owner: 'acme' })).toMatchObject({ status: 503, body: silent })
  })
})
