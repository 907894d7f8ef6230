import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startGatewayProcess } from '../deploy/gateway.ts'
import { GATEWAY_LAUNCHER } from './load.ts'
import { startBenchOrigin } from './origin.ts'

/**
 * A gateway that issues tokens, started as by `npm run serve`, with users whose password is PASSWORD and an origin behind `/users/42`. Its limit
 * allows ten logins of a network at once and then five a minute.
 */
export interface LoginGateway {
  readonly url: string
  readonly pid: number
  readonly users: readonly string[]
  /** Logs in from `network`, the first three octets of an IPv4 address. */
  readonly logIn: (username: string, password: string, network: string) => Promise<Response>
  readonly stop: () => Promise<void>
}

/** The password of all users. */
export const PASSWORD = 'correct horse battery'

const TOKEN = 'a-bootstrap-token-of-the-bench-alone'
const USERS = 60

/** The limit of docs/oauth.md. */
const rateLimit = [
  {
    name: 'logins',
    before: 'auth',
    algorithm: 'token-bucket',
    limit: 5,
    window: '1m',
    burst: 10,
    key: ['client.ip'],
    consistency: 'local',
  },
]

const routesOf = (origin: string) => ({
  version: 1,
  clientAddress: { source: 'x-forwarded-for', trustedProxies: ['127.0.0.0/8'] },
  authProviders: {
    gateway: { type: 'jwt', issuer: 'https://gw.bench/', audience: 'api', algorithms: ['ES256'], keys: 'self' },
  },
  upstreams: { users: { targets: [{ url: origin }] } },
  routes: [
    { id: 'users', match: { methods: ['GET'], path: '/users/:id' }, upstream: 'users' },
    { id: 'token', match: { methods: ['POST'], path: '/token' }, builtin: 'token', policies: { rateLimit } },
    { id: 'first', match: { methods: ['POST'], path: '/admin/bootstrap' }, builtin: 'bootstrap' },
    {
      id: 'admin',
      match: { path: '/admin/*' },
      builtin: 'admin',
      policies: { auth: { providers: ['gateway'], roles: ['admin'] } },
    },
  ],
})

/** Starts the gateway and its origin, and creates `count` users. */
export async function startLoginGateway(count = USERS): Promise<LoginGateway> {
  const folder = mkdtempSync(join(tmpdir(), 'umbral-login-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const origin = await startBenchOrigin({ keys: [] })
  const routes = join(folder, 'routes.json')
  writeFileSync(routes, JSON.stringify(routesOf(origin.url)))
  const gateway = await startGatewayProcess({
    routes,
    ip: '127.0.0.1',
    port: 0,
    launcher: GATEWAY_LAUNCHER,
    stateDir: join(folder, 'state'),
    stdout: 'inherit',
    env: { LOG_LEVEL: 'silent', UMBRAL_BOOTSTRAP_TOKEN: TOKEN },
  })
  gateway.stderr.on('data', (chunk: Buffer) => process.stderr.write(chunk))
  const { url, pid } = gateway
  const logIn = (username: string, password: string, network: string) =>
    fetch(`${url}/token`, {
      method: 'POST',
      body: new URLSearchParams({ username, password }),
      headers: { 'x-forwarded-for': `${network}.1` },
    })
  const users = Array.from({ length: count }, (_, i) => `known-${String(i).padStart(2, '0')}`)
  await createUsers(url, users, logIn)
  const stop = () => gateway.stop().finally(() => origin.stop())
  return { url, pid, users, logIn, stop }
}

async function createUsers(url: string, users: readonly string[], logIn: LoginGateway['logIn']): Promise<void> {
  await post(`${url}/admin/bootstrap`, { username: 'root', password: PASSWORD }, TOKEN)
  const login = await logIn('root', PASSWORD, '192.0.2')
  const { access_token: token } = (await login.json()) as { access_token: string }
  for (const username of users) await post(`${url}/admin/users`, { username, password: PASSWORD }, token)
}

async function post(url: string, body: object, token: string): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  if (response.status !== 201) throw new Error(`${url} responded ${response.status}: ${await response.text()}`)
}
