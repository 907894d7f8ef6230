import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { diagnosticText } from '../../src/config/schema/diagnostic.ts'
import type { Platform } from '../../src/core/platform.ts'
import { makeTestGateway } from '../support/gateway-in-workerd.ts'

const TOKEN = 'a-token-that-is-known-to-whoever-deploys'
const PASSWORD = 'correct horse battery'

const authProviders = {
  gateway: { type: 'jwt', issuer: 'https://gw.test/', audience: 'api', algorithms: ['ES256'], keys: 'self' },
}
const admin = (auth: object = {}) => ({
  id: 'admin',
  match: { path: '/admin/*' },
  builtin: 'admin',
  policies: { auth: { providers: ['gateway'], roles: ['admin'], ...auth } },
})
const bootstrap = (parts: object = {}) => ({
  id: 'bootstrap',
  match: { methods: ['POST'], path: '/admin/bootstrap' },
  builtin: 'bootstrap',
  ...parts,
})

let nth = 0

function deploy(secret: string | undefined = TOKEN) {
  const name = `bootstrap-${nth++}`
  const identity = { getByName: () => env.IDENTITY.getByName(name) } as unknown as Platform['identityStore']
  const variables: Record<string, string | undefined> = { UMBRAL_BOOTSTRAP_TOKEN: secret, LOG_LEVEL: 'silent' }
  const variable = (asked: string) => variables[asked]
  const { fetch } = makeTestGateway(
    { authProviders, routes: [admin(), bootstrap()] },
    { identityStore: identity, variable },
  )
  const call = async (token: string | undefined, body: object = { username: 'ada', password: PASSWORD }) => {
    const headers = {
      'content-type': 'application/json',
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    }
    const response = await fetch('/admin/bootstrap', { method: 'POST', headers, body: JSON.stringify(body) })
    return { status: response.status, body: await response.json<Record<string, unknown>>(), response }
  }
  return { call, store: env.IDENTITY.getByName(name) as unknown as Store, fetch }
}

/** What the store's object says to whoever asks it by name. */
interface Store {
  readonly execute: (name: string, args: readonly unknown[]) => Promise<unknown>
}

describe('bootstrap', () => {
  it('makes the first user an admin, once, and writes that down', async () => {
    const { call, store } = deploy()
    const made = await call(TOKEN)
    expect(made.status).toBe(201)
    expect(made.body).toMatchObject({ username: 'ada', roles: ['admin'], scopes: [], disabled: false })
    expect(JSON.stringify(made.body)).not.toMatch(/horse|scrypt/)
    for (const username of ['ada', 'eve']) {
      const again = await call(TOKEN, { username, password: PASSWORD })
      expect([again.status, again.body.code]).toEqual([409, 'bootstrap-over'])
    }
    expect(await store.execute('auditLog', [{}])).toMatchObject({
      items: [{ act: 'user.create', on: 'ada', by: { provider: 'bootstrap', client: expect.any(String) } }],
    })
  })

  it('is over as soon as anybody has made a user', async () => {
    const { call, store } = deploy()
    const by = { provider: 'test', issuer: '', subject: '', client: '', request: '' }
    const passwordHash = `$scrypt$ln=14,r=8,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`
    await store.execute('createUser', [{ username: 'bob', passwordHash, disabled: true }, by])
    expect((await call(TOKEN)).status).toBe(409)
  })

  it('makes one of those who come at once', async () => {
    const { call } = deploy()
    const all = await Promise.all(['a', 'b', 'c'].map((username) => call(TOKEN, { username, password: PASSWORD })))
    expect(all.map(({ status }) => String(status)).toSorted()).toEqual(['201', '409', '409'])
  })

  it.each<[what: string, token: string | undefined]>([
    ['no token', undefined],
    ['another', `${TOKEN}x`],
    ['the beginning of it', TOKEN.slice(0, -1)],
    ['nothing', ''],
    ['the capitals of it', TOKEN.toUpperCase()],
  ])('refuses %s, before and after, and makes nobody', async (_, token) => {
    const { call, store } = deploy()
    const refused = await call(token)
    expect([refused.status, refused.body.code]).toEqual([401, 'bootstrap-refused'])
    expect(refused.response.headers.get('www-authenticate')).toBe('Bearer')
    expect(await store.execute('listUsers', [{}])).toMatchObject({ items: [] })
    await call(TOKEN)
    expect((await call(token)).body).toEqual(refused.body)
  })

  it.each([
    ['unset', undefined],
    ['shorter than 32 characters', 'x'.repeat(31)],
  ])('is closed while the secret is %s', async (_, secret) => {
    const { call } = deploy(secret ?? '')
    const closed = await call(secret)
    expect([closed.status, closed.body.code]).toEqual([503, 'not-configured'])
  })

  it('asks for a name and a password as admin does, and gives no other role', async () => {
    const { call, store } = deploy()
    for (const body of [
      { username: 'ada', password: 'short' },
      { username: 'ada', password: PASSWORD, roles: ['x'] },
    ]) {
      const refused = await call(TOKEN, body)
      expect([refused.status, refused.body.code]).toEqual([400, 'admin-invalid'])
    }
    expect(await store.execute('listUsers', [{}])).toMatchObject({ items: [] })
  })

  it('opens no way into admin: its token is none, and a path below it is admin’s', async () => {
    const { fetch } = deploy()
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
    for (const path of ['/admin/users', '/admin/bootstrap/', '/admin/bootstrap/users', '/admin//bootstrap/../users'])
      expect((await fetch(path, { headers })).status, path).toBe(401)
  })
})

describe('a routes file with bootstrap', () => {
  const diagnostics = (...routes: object[]) => {
    const loaded = loadConfig({ version: 1, authProviders, routes })
    return 'diagnostics' in loaded ? loaded.diagnostics.map(diagnosticText) : []
  }
  const nowhere = expect.stringMatching(
    /^routes\[\d\]\.builtin: the first user has the role "admin" and a token of this gateway/,
  )

  it('is accepted beside an admin route that takes who it makes', () => {
    expect(diagnostics(admin(), bootstrap())).toEqual([])
  })

  it.each<[what: string, routes: object[], expected: unknown]>([
    ['without an admin route', [bootstrap()], nowhere],
    ['beside one for other roles', [admin({ roles: ['boss'] }), bootstrap()], nowhere],
    ['beside one that wants scopes', [admin({ scopes: ['x'] }), bootstrap()], nowhere],
    [
      'for every method',
      [admin(), bootstrap({ match: { path: '/first' } })],
      'routes[1].match.methods: expected ["POST"]: bootstrap creates a user',
    ],
    [
      'behind auth',
      [admin(), bootstrap({ policies: { auth: { providers: ['gateway'] } } })],
      'routes[1].policies.auth: expected null: no caller can authenticate before the first user exists',
    ],
  ])('is refused %s', (_, routes, expected) => {
    expect(diagnostics(...routes)).toEqual([expected])
  })
})
