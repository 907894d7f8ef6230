import { createHmac } from 'node:crypto'

/** Somebody who can log in at the demo. */
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
 * Makes the demo's accounts in the way that docs/admin.md shows: the first admin with the bootstrap token, and by him johndoe, who is answered. Passwords
 * follow from the token, so that a state that was kept has the same ones. Undefined where the routes file has no such routes.
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
  // Of a kept state the operator may have another password by now; then johndoe is there too.
  if (token === undefined && status === 409) return user
  const made = await post(`${gateway}/admin/users`, JSON.stringify({ ...JOHN, ...user }), token)
  if (made.status === 201 || made.status === 409) return user
  throw new Error(`the demo user could not be made: ${login.status} ${made.status} ${made.text}`)
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
