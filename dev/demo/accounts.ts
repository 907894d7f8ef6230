import { createHmac } from 'node:crypto'

/** An account of the demo. */
export interface DemoUser {
  readonly username: string
  readonly password: string
}

const JOHN = {
  username: 'johndoe',
  email: 'johndoe@example.com',
  full_name: 'John Doe',
  scopes: ['users:read', 'orders:read', 'orders:write'],
}

/**
 * Creates the demo's accounts as docs/admin.md shows: the first admin with the bootstrap token, and through that admin the user `johndoe`, which is
 * returned. Passwords derive from the token, so that a kept state has the same ones. Undefined when the routes file has no such routes.
 */
export async function makeAccounts(gateway: string, bootstrapToken: string): Promise<DemoUser | undefined> {
  const passwordOf = (username: string) =>
    createHmac('sha256', bootstrapToken).update(username).digest('base64url').slice(0, 20)
  const admin = { username: 'operator', password: passwordOf('operator') }
  const user = { username: JOHN.username, password: passwordOf(JOHN.username) }

  const { status } = await post(`${gateway}/admin/bootstrap`, JSON.stringify(admin), bootstrapToken)
  if (status !== 201 && status !== 409) return undefined
  const login = await post(`${gateway}/token`, new URLSearchParams(admin))
  const { access_token: token } = JSON.parse(login.text) as { access_token?: string }
  // In a kept state the admin may have changed the password; then johndoe exists too.
  if (token === undefined && status === 409) return user
  const created = await post(`${gateway}/admin/users`, JSON.stringify({ ...JOHN, ...user }), token)
  if (created.status === 201 || created.status === 409) return user
  throw new Error(`the demo user could not be created: ${login.status} ${created.status} ${created.text}`)
}

async function post(
  url: string,
  body: string | URLSearchParams,
  token?: string,
): Promise<{ readonly status: number; readonly text: string }> {
  const headers = {
    ...(typeof body === 'string' && { 'content-type': 'application/json' }),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  }
  const response = await fetch(url, { method: 'POST', headers, body })
  return { status: response.status, text: await response.text() }
}
