import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { addUser, BY, deploy, ISSUER, PASSWORD, type TokenAnswer } from './authority.ts'

const jsonOf = (response: Response) => response.json<Record<string, unknown>>()

/** What a browser's or Python's client of FastAPI's OAuth2 tutorial does, and what it looks at in the answers. */
describe('a client written for the FastAPI service', () => {
  it('logs in with username and password alone, and gets a bearer token of 30 minutes', async () => {
    const { logIn } = await deploy()
    const response = await logIn()
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json'])
    expect(response.headers.get('cache-control')).toBe('no-store')
    const body = await response.json<TokenAnswer>()
    expect(body).toMatchObject({ access_token: expect.any(String), token_type: 'bearer', expires_in: 1800 })
    expect(decodeProtectedHeader(body.access_token)).toEqual({ alg: 'ES256', kid: expect.any(String), typ: 'at+jwt' })
    const claims = decodeJwt(body.access_token)
    expect(claims).toEqual({
      iss: ISSUER,
      aud: 'api',
      sub: 'johndoe',
      username: 'johndoe',
      iat: expect.any(Number),
      exp: claims.iat! + 1800,
      jti: expect.stringMatching(/^[\da-f-]{36}$/),
      scope: 'items:read',
      roles: [],
    })
    expect(Math.abs(claims.iat! * 1000 - Date.now())).toBeLessThan(10_000)
  })

  it.each<[what: string, form: Record<string, string>, headers?: Record<string, string>]>([
    ['the grant type too', { grant_type: 'password' }],
    ['empty fields, as Swagger UI does', { grant_type: 'password', scope: '', client_id: '', client_secret: '' }],
    ['an empty client in the header', { grant_type: '' }, { authorization: `Basic ${btoa(':')}` }],
    ['the old token', {}, { authorization: 'Bearer of.an.earlier-login' }],
  ])('may send %s', async (_, form, headers) => {
    const { logIn } = await deploy()
    expect((await logIn(form, headers)).status).toBe(200)
  })

  it('may send what FormData makes', async () => {
    const { fetch } = await deploy()
    const body = new FormData()
    body.set('username', 'johndoe')
    body.set('password', PASSWORD)
    expect((await fetch('/token', { method: 'POST', body })).status).toBe(200)
  })

  it('asks who it is, and is told in four fields', async () => {
    const { logIn, get, store } = await deploy()
    const { access_token: token } = await (await logIn()).json<TokenAnswer>()
    const me = { username: 'johndoe', email: 'john@example.com', full_name: 'John Doe', disabled: false }
    expect(await jsonOf(await get('/users/me', token))).toEqual(me)
    await store.updateUser('johndoe', { email: null, fullName: null }, BY)
    expect(await jsonOf(await get('/users/me', token))).toEqual({ ...me, email: null, full_name: null })
  })

  it('is told 401 with Bearer and the same detail for a wrong password and for a wrong name', async () => {
    const { logIn } = await deploy()
    const bodies = []
    for (const wrong of [{ password: 'wrong' }, { username: 'nobody' }]) {
      const response = await logIn(wrong)
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([401, 'Bearer'])
      expect(response.headers.get('content-type')).toBe('application/json')
      bodies.push(await response.text())
    }
    expect(bodies[0]).toBe(bodies[1])
    expect(JSON.parse(bodies[0]!)).toMatchObject({
      detail: 'Incorrect username or password',
      error: 'invalid_grant',
      error_description: 'Incorrect username or password',
      code: 'login-failed',
    })
  })

  it('is told of a disabled user after the right password only, and 400 "Inactive user" by /users/me', async () => {
    const { logIn, get, store } = await deploy()
    const { access_token: token } = await (await logIn()).json<TokenAnswer>()
    await store.updateUser('johndoe', { disabled: true }, BY)
    const right = await logIn()
    expect([right.status, await jsonOf(right)]).toEqual([
      400,
      expect.objectContaining({ detail: 'Inactive user', code: 'inactive-user', error: 'invalid_grant' }),
    ])
    const wrong = await logIn({ password: 'wrong' })
    expect([wrong.status, (await jsonOf(wrong)).detail]).toEqual([401, 'Incorrect username or password'])
    const me = await get('/users/me', token)
    expect([me.status, (await jsonOf(me)).detail]).toEqual([400, 'Inactive user'])
  })

  it('is told 401 "Could not validate credentials" for a user who is gone', async () => {
    const { post, get, store } = await deploy()
    await addUser(store, { username: 'eve' })
    const logged = await post('/token', { username: 'eve', password: PASSWORD })
    const { access_token: token } = await logged.json<TokenAnswer>()
    await store.removeUser('eve', BY)
    const me = await get('/users/me', token)
    expect([me.status, (await jsonOf(me)).detail]).toEqual([401, 'Could not validate credentials'])
    expect(me.headers.get('www-authenticate')).toMatch(/^Bearer/)
  })

  it('is let in where its scopes suffice', async () => {
    const { logIn, get, fetch } = await deploy()
    const { access_token: token } = await (await logIn()).json<TokenAnswer>()
    expect((await get('/items', token)).status).toBe(200)
    expect((await fetch('/items')).status).toBe(401)
    expect((await get('/items', `${token.slice(0, -4)}AAAA`)).status).toBe(401)
  })
})
