import { expect, it } from 'vitest'
import type { Platform } from '../../../src/core/platform.ts'
import type { UserChange } from '../../../src/identity/types.ts'
import { HASH } from '../../identity/store/identity-store.ts'
import { addClient, addUser, basic, BY, deploy, ISSUER, PASSWORD, type TokenAnswer } from './authority.ts'

const tokensOf = (response: Response) => response.json<TokenAnswer>()
const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as Record<string, unknown>

/** A gateway in which an operator acts while a login waits for its answer. */
async function deployWithOperator(tokens: object, act: () => Promise<unknown>) {
  const decide = async () => {
    await act()
    return { allowed: true, delayMs: 1_100 }
  }
  return deploy(tokens, { loginGuards: { getByName: () => ({ decide }) } as unknown as Platform['loginGuards'] })
}

it.each<[what: string, change: UserChange]>([
  ['is disabled', { disabled: true }],
  ['gets another password', { passwordHash: HASH }],
  ['loses a scope', { scopes: [] }],
])('gives a user who %s while a login waits no token that is good', async (_, change) => {
  const cutoff = () => ({ issuers: [ISSUER], until: Date.now() + 3_600_000 })
  const { store, logIn, isolate } = await deployWithOperator({}, () =>
    store.updateUser('johndoe', change, BY, cutoff()),
  )
  const { access_token: token } = await tokensOf(await logIn())
  const response = await isolate().fetch('/items', { headers: { authorization: `Bearer ${token}` } })
  expect([response.status, (await response.json<{ code: string }>()).code]).toEqual([401, 'token-revoked'])
})

it.each<[what: string, change: UserChange]>([
  ['disabled', { disabled: true }],
  ['given another password', { passwordHash: HASH }],
])('starts no session for a user who is %s while the login waits', async (_, change) => {
  const { store, logIn } = await deployWithOperator({ refreshTokens: 'always' }, () =>
    store.updateUser('johndoe', change, BY),
  )
  const response = await logIn()
  expect([response.status, (await response.json<{ code: string }>()).code]).toEqual([400, 'grant-invalid'])
  expect(await store.listSessions({})).toEqual({ items: [] })
})

it('says for how long a token is still good after the login has waited', async () => {
  const { logIn } = await deployWithOperator({}, async () => undefined)
  const { access_token: token, expires_in: expiresIn } = await tokensOf(await logIn())
  const { iat, exp } = claimsOf(token) as { iat: number; exp: number }
  expect(exp - iat).toBe(1_800)
  expect(expiresIn).toBeLessThan(1_800)
  expect(Math.abs(exp - Date.now() / 1_000 - expiresIn)).toBeLessThan(2)
})

it('signs no longer than seconds with keys that were replaced', async () => {
  const { store, isolate } = await deploy()
  let ahead = 0
  const { fetch } = isolate({ now: () => Date.now() + ahead })
  const logIn = async () => {
    const body = new URLSearchParams({ username: 'johndoe', password: PASSWORD })
    const response = await fetch('/token', { method: 'POST', body })
    return (await tokensOf(response)).access_token.split('.')[0]
  }
  const before = await logIn()
  await store.replaceSigningKeys(BY)
  ahead = 6_000
  expect(await logIn()).not.toBe(before)
})

it.each([
  ['no base64', 'Basic a:b'],
  ['base64url', 'Basic -_-_'],
  ['nothing', 'Basic'],
  ['a secret of no client', `Basic ${btoa(':secret')}`],
  ['no colon', `Basic ${btoa('app')}`],
])('takes a login for nobody else’s when Basic holds %s', async (_, authorization) => {
  const { logIn } = await deploy()
  const response = await logIn({}, { authorization })
  expect([response.status, (await response.json<{ error: string }>()).error]).toEqual([401, 'invalid_client'])
})

it('says of the token of a disabled or removed client at once that it is not active', async () => {
  const { store, isolate, post, logIn } = await deploy()
  const secret = await addClient(store, { clientId: 'resources' })
  const introspect = async (token: string) => {
    const init = { method: 'POST', body: new URLSearchParams({ token }), headers: basic('resources', secret) }
    return (await isolate().fetch('/introspect', init)).json<{ active: boolean }>()
  }
  const job = await addClient(store, { clientId: 'job' })
  await addClient(store, { clientId: 'app', confidential: false, grants: ['password'] })
  const ofJob = await tokensOf(await post('/token', { grant_type: 'client_credentials' }, basic('job', job)))
  const ofApp = await tokensOf(await logIn({ client_id: 'app' }))
  for (const { access_token: token } of [ofJob, ofApp]) expect(await introspect(token)).toMatchObject({ active: true })
  await store.updateOAuthClient('app', { disabled: true }, BY)
  await store.removeOAuthClient('job', BY)
  for (const { access_token: token } of [ofJob, ofApp]) expect(await introspect(token)).toEqual({ active: false })
})

it('has no client by the name of a user: both would be one subject', async () => {
  const { store } = await deploy()
  await addClient(store, { clientId: 'job' })
  expect(await store.createOAuthClient({ clientId: 'johndoe' }, BY)).toBe('invalid: clientId: a user has this name')
  await expect(addUser(store, { username: 'job' })).rejects.toThrow('invalid: username: a client has this id')
})
