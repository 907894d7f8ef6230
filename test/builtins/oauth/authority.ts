import { env } from 'cloudflare:workers'
import type { Platform } from '../../../src/core/platform.ts'
import type { IdentityClient } from '../../../src/identity/api.ts'
import { makeIdentityClient } from '../../../src/identity/client.ts'
import { hashPassword } from '../../../src/identity/password.ts'
import type { Actor, NewOAuthClient, NewUser } from '../../../src/identity/types.ts'
import { makeTestGateway } from '../../support/gateway-in-workerd.ts'

export const ISSUER = 'https://gw.test/'
export const PASSWORD = 'correct horse battery'
export const BY: Actor = { provider: 'test', issuer: '', subject: '', client: '', request: '' }

const passwordHash = await hashPassword(PASSWORD, { now: Date.now })

/** Far above what any test asks for. */
const rateLimit = [
  {
    name: 'logins',
    before: 'auth',
    algorithm: 'fixed-window',
    limit: 1_000_000,
    window: '1s',
    key: ['client.ip'],
    consistency: 'local',
  },
]

/** The routes of a gateway that issues tokens; `introspect` is for clients with a secret. */
export const routes = [
  { id: 'token', match: { path: '/token' }, builtin: 'token', policies: { rateLimit } },
  { id: 'revoke', match: { path: '/revoke' }, builtin: 'revoke' },
  { id: 'introspect', match: { path: '/introspect' }, builtin: 'introspect' },
  {
    id: 'me',
    match: { methods: ['GET'], path: '/users/me' },
    builtin: 'userinfo',
    policies: { auth: { providers: ['gateway'] } },
  },
  { id: 'jwks', match: { path: '/.well-known/jwks.json' }, builtin: 'jwks' },
  { id: 'metadata', match: { path: '/.well-known/oauth-authorization-server' }, builtin: 'metadata' },
  {
    id: 'items',
    match: { path: '/items' },
    respond: { body: 'items' },
    policies: { auth: { providers: ['gateway'], scopes: ['items:read'] } },
  },
]

export const gatewayProvider = {
  type: 'jwt',
  issuer: ISSUER,
  audience: 'api',
  algorithms: ['ES256'],
  keys: 'self',
} as const

let nth = 0

/** A gateway with users, clients and failed logins of its own, in real Durable Objects; `tokens` are the provider's. */
export async function deploy(tokens: object = {}, parts: Partial<Platform> = {}) {
  const name = `authority-${nth++}`
  const identity = { getByName: () => env.IDENTITY.getByName(name) } as unknown as Platform['identityStore']
  const logins = {
    getByName: (shard: string) => env.LOGINS.getByName(`${name} ${shard}`),
  } as unknown as Platform['loginGuards']
  const routesFile = {
    clientAddress: { source: 'cf-connecting-ip' },
    authProviders: { gateway: { ...gatewayProvider, tokens } },
    routes,
  }
  const variable = (asked: string) => (asked === 'LOG_LEVEL' ? 'silent' : undefined)
  const isolate = (more: Partial<Platform> = {}) =>
    makeTestGateway(routesFile, { identityStore: identity, loginGuards: logins, variable, ...parts, ...more })
  const gateway = isolate()
  const store = makeIdentityClient(identity)
  await addUser(store, { username: 'johndoe', email: 'john@example.com', fullName: 'John Doe', scopes: ['items:read'] })

  const post = (path: string, form: Record<string, string> | string, headers: Record<string, string> = {}) =>
    gateway.fetch(path, {
      method: 'POST',
      body: new URLSearchParams(form).toString(),
      headers: {
        'content-type': 'application/x-www-form-urlencoded',
        'cf-connecting-ip': '192.0.2.7',
        ...headers,
      },
    })
  return {
    ...gateway,
    isolate,
    identity,
    store,
    post,
    logIn: (form: Record<string, string> = {}, headers: Record<string, string> = {}) =>
      post('/token', { username: 'johndoe', password: PASSWORD, ...form }, headers),
    get: (path: string, token: string) => gateway.fetch(path, { headers: { authorization: `Bearer ${token}` } }),
  }
}

export async function addUser(store: IdentityClient, user: Partial<NewUser> & { username: string }): Promise<void> {
  const made = await store.createUser({ passwordHash: String(passwordHash), ...user }, BY)
  if (typeof made === 'string') throw new Error(made)
}

/** Its secret; `''` for a public one. */
export async function addClient(store: IdentityClient, client: NewOAuthClient): Promise<string> {
  const made = await store.createOAuthClient(client, BY)
  if (typeof made === 'string') throw new Error(made)
  return made.secret ?? ''
}

export const basic = (id: string, secret: string) => ({
  authorization: `Basic ${btoa(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`)}`,
})

export interface TokenAnswer {
  readonly access_token: string
  readonly token_type: string
  readonly expires_in: number
  readonly scope?: string
  readonly refresh_token?: string
}
