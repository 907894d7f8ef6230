import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startGateway, type RunningGateway } from '../support/gateway.ts'

const token = randomBytes(32).toString('base64url')
const gatewayProvider = {
  type: 'jwt',
  issuer: 'https://gw.test/',
  audience: 'api',
  algorithms: ['ES256'],
  keys: 'self',
}
const logins = {
  name: 'logins',
  before: 'auth',
  algorithm: 'fixed-window',
  limit: 60,
  window: '1m',
  key: ['client.ip'],
}
const routes = {
  authProviders: { gateway: gatewayProvider },
  routes: [
    { id: 'first', match: { methods: ['POST'], path: '/admin/bootstrap' }, builtin: 'bootstrap' },
    { id: 'token', match: { methods: ['POST'], path: '/token' }, builtin: 'token', policies: { rateLimit: [logins] } },
    {
      id: 'admin',
      match: { path: '/admin/*' },
      builtin: 'admin',
      policies: { auth: { providers: ['gateway'], roles: ['admin'] } },
    },
  ],
}

let gateway: RunningGateway
beforeAll(async () => {
  gateway = await startGateway({ routes, env: { UMBRAL_BOOTSTRAP_TOKEN: token } })
})
afterAll(() => gateway?.kill())

/** The documented command, as `npm run first-admin` runs it. */
async function firstAdmin(args: readonly string[], env: Record<string, string> = { UMBRAL_BOOTSTRAP_TOKEN: token }) {
  const run = promisify(execFile)(process.execPath, ['deploy/first-admin.ts', ...args], { env })
  return run.then(
    ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
    ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({ code, stdout, stderr }),
  )
}

test('the first admin is made by one command, logs in, and makes others', async () => {
  const url = `${gateway.url}/admin/bootstrap`
  const wrong = await firstAdmin(['--url', url], { UMBRAL_BOOTSTRAP_TOKEN: `${token}x` })
  expect(wrong).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('answered 401: ') })
  expect(wrong.stderr).not.toContain(token)

  const made = await firstAdmin(['--url', url, '--username', 'ada'])
  expect(made).toMatchObject({ code: 0, stderr: '' })
  const [, username, password] = /^username: (.+)\npassword: (.+)\n$/.exec(made.stdout)!
  expect(username).toBe('ada')

  const login = await fetch(`${gateway.url}/token`, {
    method: 'POST',
    body: new URLSearchParams({ username: 'ada', password: password! }),
  })
  const { access_token: access } = (await login.json()) as { access_token: string }
  const admin = async (path: string, body?: object) => {
    const headers = { authorization: `Bearer ${access}`, 'content-type': 'application/json' }
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    const response = await fetch(`${gateway.url}/admin/${path}`, { headers, ...init })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  expect((await admin('users', { username: 'bob', password: 'correct horse battery' })).status).toBe(201)
  const actor = { provider: 'gateway', issuer: 'https://gw.test/', subject: 'ada', client: '127.0.0.1' }
  expect((await admin('audit')).body).toMatchObject({
    audit: [
      { act: 'user.create', on: 'bob', by: actor },
      { act: 'user.create', on: 'ada', by: { provider: 'bootstrap', client: '127.0.0.1' } },
    ],
  })

  const again = await firstAdmin(['--url', url])
  expect(again).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('bootstrap-over') })
})

test.each<[what: string, args: string[], says: string]>([
  ['no URL', [], 'expected --url with the URL of the bootstrap route'],
  ['plain http to another machine', ['--url', 'http://api.example.com/admin/bootstrap'], 'expected https'],
  ['an option that there is not', ['--urll', 'x'], '--urll'],
])('the command refuses %s', async (_, args, says) => {
  expect(await firstAdmin(args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(says) })
})

test('the command says which variable it needs', async () => {
  const answer = await firstAdmin(['--url', `${gateway.url}/admin/bootstrap`], {})
  expect(answer).toMatchObject({ code: 1, stderr: expect.stringContaining('UMBRAL_BOOTSTRAP_TOKEN is not set') })
})
