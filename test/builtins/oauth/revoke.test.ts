import { expect, it } from 'vitest'
import { addClient, addUser, basic, BY, deploy, ISSUER, PASSWORD, type TokenAnswer } from './authority.ts'

const jsonOf = (response: Response) => response.json<Record<string, unknown>>()
const tokensOf = (response: Response) => response.json<TokenAnswer>()

/** A gateway, and a resource server that may introspect. Both ask an isolate that has just started: it knows of no revocation yet. */
async function deployWithServer() {
  const authority = await deploy({ refreshTokens: 'always' })
  const secret = await addClient(authority.store, { clientId: 'resources' })
  const fresh = (path: string, init: RequestInit) => authority.isolate().fetch(path, init)
  const introspect = async (token: string) =>
    jsonOf(
      await fresh('/introspect', {
        method: 'POST',
        body: new URLSearchParams({ token }),
        headers: basic('resources', secret),
      }),
    )
  const get = (path: string, token: string) => fresh(path, { headers: { authorization: `Bearer ${token}` } })
  return { ...authority, get, introspect }
}

it('revokes one access token and no other', async () => {
  const { logIn, post, get, introspect } = await deployWithServer()
  const [first, second] = [await tokensOf(await logIn()), await tokensOf(await logIn())]
  const revoked = await post('/revoke', { token: first.access_token, token_type_hint: 'refresh_token' })
  expect([revoked.status, revoked.headers.get('cache-control'), await revoked.text()]).toEqual([200, 'no-store', ''])
  expect((await get('/items', first.access_token)).status).toBe(401)
  expect((await get('/items', second.access_token)).status).toBe(200)
  expect(await introspect(first.access_token)).toEqual({ active: false })
})

it.each<[what: string, revoke: (parts: Awaited<ReturnType<typeof deploy>>, tokens: TokenAnswer) => Promise<unknown>]>([
  ['its holder', ({ post }, tokens) => post('/revoke', { token: tokens.access_token })],
  ['its login', ({ post }, tokens) => post('/revoke', { token: tokens.refresh_token! })],
  ['its subject', ({ store }) => store.revoke({ issuer: ISSUER, subject: 'johndoe' }, Date.now() + 3_600_000, BY)],
])(
  'says of a revoked token at once that it is not active, in an isolate with a fresh copy: by %s',
  async (_, revoke) => {
    const authority = await deploy({ refreshTokens: 'always' })
    const headers = basic('resources', await addClient(authority.store, { clientId: 'resources' }))
    const introspect = async (token: string) => jsonOf(await authority.post('/introspect', { token }, headers))
    const tokens = await tokensOf(await authority.logIn())
    expect(await introspect(tokens.access_token)).toMatchObject({ active: true })
    await revoke(authority, tokens)
    expect(await introspect(tokens.access_token)).toEqual({ active: false })
  },
)

it('revokes a refresh token with the access tokens of its login', async () => {
  const { logIn, post, get, introspect } = await deployWithServer()
  const { access_token: access, refresh_token: refresh = '' } = await tokensOf(await logIn())
  expect((await post('/revoke', { token: refresh })).status).toBe(200)
  expect((await post('/token', { grant_type: 'refresh_token', refresh_token: refresh })).status).toBe(400)
  expect((await get('/items', access)).status).toBe(401)
  expect(await introspect(refresh)).toEqual({ active: false })
})

it('answers alike for what is no token or is over, and wants a token', async () => {
  const { post } = await deploy()
  for (const token of ['x', 'a.b.c', 'not a token\n', `umr_${'a'.repeat(65)}`])
    expect((await post('/revoke', { token })).status).toBe(200)
  const none = await post('/revoke', { token: '' })
  expect([none.status, await jsonOf(none)]).toEqual([400, expect.objectContaining({ error: 'invalid_request' })])
})

it('revokes no token of another client', async () => {
  const { logIn, post, store, introspect } = await deployWithServer()
  for (const clientId of ['app', 'other'])
    await addClient(store, { clientId, confidential: false, grants: ['password', 'refresh_token'] })
  const { access_token: access, refresh_token: refresh = '' } = await tokensOf(await logIn({ client_id: 'app' }))
  const refused = await post('/revoke', { token: access, client_id: 'other' })
  expect([refused.status, (await jsonOf(refused)).error]).toEqual([400, 'unauthorized_client'])
  await post('/revoke', { token: refresh, client_id: 'other' })
  for (const token of [access, refresh]) expect(await introspect(token)).toMatchObject({ active: true })
  await post('/revoke', { token: access, client_id: 'app' })
  expect(await introspect(access)).toEqual({ active: false })
})

it('says of an active token what it says of itself', async () => {
  const { logIn, introspect } = await deployWithServer()
  const { access_token: access, refresh_token: refresh = '' } = await tokensOf(await logIn())
  const common = { active: true, iss: 'https://gw.test/', sub: 'johndoe', username: 'johndoe', scope: 'items:read' }
  const times = { iat: expect.any(Number), exp: expect.any(Number) }
  const own = { aud: 'api', jti: expect.any(String), sid: expect.any(String), roles: [] }
  expect(await introspect(access)).toEqual({ ...common, ...times, ...own, token_type: 'Bearer' })
  expect(await introspect(refresh)).toEqual({ ...common, ...times, token_type: 'refresh_token' })
})

it.each(['x', 'a.b.c', '', `umr_${'a'.repeat(65)}`, 'é'])('says of %j that it is not active', async (token) => {
  const { introspect } = await deployWithServer()
  if (token !== '') expect(await introspect(token)).toEqual({ active: false })
  else expect(await introspect(token)).toMatchObject({ error: 'invalid_request' })
})

it('says of the token of a disabled user at once that it is not active', async () => {
  const { post, store, introspect } = await deployWithServer()
  await addUser(store, { username: 'ada' })
  const { access_token: token } = await tokensOf(await post('/token', { username: 'ada', password: PASSWORD }))
  expect(await introspect(token)).toMatchObject({ active: true })
  await store.updateUser('ada', { disabled: true }, BY)
  expect(await introspect(token)).toEqual({ active: false })
})

it('introspects for nobody who does not show who it is', async () => {
  const { post, store } = await deploy()
  await addClient(store, { clientId: 'app', confidential: false, grants: ['password'] })
  for (const form of [{ token: 'x' }, { token: 'x', client_id: 'app' }]) {
    const response = await post('/introspect', form)
    expect([response.status, (await jsonOf(response)).error]).toEqual([401, 'invalid_client'])
  }
})
