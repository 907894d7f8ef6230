import { decodeJwt } from 'jose'
import { describe, expect, it } from 'vitest'
import type { Platform } from '../../../src/core/platform.ts'
import { addClient, addUser, basic, BY, deploy, PASSWORD, type TokenAnswer } from './authority.ts'

/** Status, code, and what RFC 6749 §5.2 wants; every refusal has the same form. */
async function refusalOf(response: Response): Promise<[status: number, code: string, error: string]> {
  expect(response.headers.get('content-type')).toBe('application/json')
  expect(response.headers.get('cache-control')).toBe('no-store')
  const body = await response.json<Record<string, string>>()
  expect(body.detail).toBe(body.error_description)
  // RFC 6749 §5.2 allows no other characters.
  expect(body.error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
  return [response.status, body.code!, body.error!]
}

const tokensOf = async (response: Response) => {
  expect(response.status).toBe(200)
  return response.json<TokenAnswer>()
}

describe('a form', () => {
  it.each<[what: string, body: string, type: string | undefined, refused: unknown[]]>([
    ['JSON', '{}', 'application/json', [415, 'media-type-unsupported', 'invalid_request']],
    ['no type', 'username=a&password=b', undefined, [415, 'media-type-unsupported', 'invalid_request']],
    ['a field twice', 'username=a&username=a&password=b', '', [400, 'form-invalid', 'invalid_request']],
    ['a field twice, once empty', 'scope=&scope=x&username=a&password=b', '', [400, 'form-invalid', 'invalid_request']],
    ['no password', 'username=johndoe', '', [400, 'form-invalid', 'invalid_request']],
    ['an empty password', 'username=johndoe&password=', '', [400, 'form-invalid', 'invalid_request']],
    ['nothing', '', '', [400, 'form-invalid', 'invalid_request']],
    ['too much', `username=${'a'.repeat(20_000)}`, '', [413, 'body-too-large', 'invalid_request']],
    ['another grant', 'grant_type=authorization_code', '', [400, 'grant-unsupported', 'unsupported_grant_type']],
    ['a grant of another case', 'grant_type=Password', '', [400, 'grant-unsupported', 'unsupported_grant_type']],
    ['an inherited name as grant', 'grant_type=constructor', '', [400, 'grant-unsupported', 'unsupported_grant_type']],
    ['a secret of nobody', 'client_secret=x', '', [400, 'form-invalid', 'invalid_request']],
  ])('with %s is refused', async (_, body, type, refused) => {
    const { fetch } = await deploy()
    const headers = type === undefined ? undefined : { 'content-type': type || 'application/x-www-form-urlencoded' }
    // Bytes bring no content type of their own.
    const response = await fetch('/token', {
      method: 'POST',
      body: new TextEncoder().encode(body),
      ...(headers && { headers }),
    })
    expect(await refusalOf(response)).toEqual(refused)
  })

  it('that holds a file, or is none, is refused', async () => {
    const { fetch } = await deploy()
    const body = new FormData()
    body.set('username', new Blob(['johndoe']))
    expect(await refusalOf(await fetch('/token', { method: 'POST', body }))).toEqual([
      400,
      'form-invalid',
      'invalid_request',
    ])
    const headers = { 'content-type': 'multipart/form-data; boundary=x' }
    const broken = await fetch('/token', { method: 'POST', body: 'no boundary', headers })
    expect(await refusalOf(broken)).toEqual([400, 'form-invalid', 'invalid_request'])
  })

  it('is not read from the query', async () => {
    const { post } = await deploy()
    const asked = await post(`/token?username=johndoe&password=${encodeURIComponent(PASSWORD)}`, '')
    expect(await refusalOf(asked)).toEqual([400, 'form-invalid', 'invalid_request'])
  })

  it('comes by POST', async () => {
    const { fetch } = await deploy()
    const response = await fetch('/token')
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
  })
})

describe('scopes', () => {
  it('are what is asked for, as far as the user has them', async () => {
    const { store, post } = await deploy()
    await addUser(store, { username: 'ada', scopes: ['a', 'b', 'c'], roles: ['admin'] })
    const logIn = (scope: string) => post('/token', { username: 'ada', password: PASSWORD, scope })
    expect((await tokensOf(await logIn(''))).scope).toBe('a b c')
    const some = await tokensOf(await logIn('c  a c'))
    expect(some.scope).toBe('c a')
    expect(decodeJwt(some.access_token)).toMatchObject({ scope: 'c a', roles: ['admin'] })
    expect(await refusalOf(await logIn('a d'))).toEqual([400, 'scope-invalid', 'invalid_scope'])
  })

  it('are no more than the client may have', async () => {
    const { store, post } = await deploy()
    await addUser(store, { username: 'ada', scopes: ['a', 'b'] })
    await addClient(store, { clientId: 'app', confidential: false, grants: ['password'], scopes: ['b', 'c'] })
    const form = { username: 'ada', password: PASSWORD, client_id: 'app' }
    const { access_token: token } = await tokensOf(await post('/token', form))
    expect(decodeJwt(token)).toMatchObject({ scope: 'b', client_id: 'app', sub: 'ada' })
    expect(await refusalOf(await post('/token', { ...form, scope: 'a' }))).toEqual([
      400,
      'scope-invalid',
      'invalid_scope',
    ])
  })
})

describe('a client', () => {
  const grant = { grant_type: 'client_credentials' }
  const invalid = [401, 'client-invalid', 'invalid_client']

  async function deployWithClients() {
    const authority = await deploy()
    const { store } = authority
    const secret = await addClient(store, {
      clientId: 'job:a+b%',
      grants: ['client_credentials'],
      scopes: ['run'],
      roles: ['robot'],
    })
    await addClient(store, { clientId: 'app', confidential: false, grants: ['password'] })
    return { ...authority, secret }
  }

  it('gets a token for itself, with its secret in the header or in the form', async () => {
    const { post, secret, get } = await deployWithClients()
    const inHeader = await tokensOf(await post('/token', grant, basic('job:a+b%', secret)))
    const inForm = await tokensOf(await post('/token', { ...grant, client_id: 'job:a+b%', client_secret: secret }))
    for (const { access_token: token, refresh_token: none } of [inHeader, inForm]) {
      expect(none).toBeUndefined()
      const claims = decodeJwt(token)
      expect(claims).toMatchObject({ sub: 'job:a+b%', client_id: 'job:a+b%', scope: 'run', roles: ['robot'] })
      expect(claims).not.toHaveProperty('username')
      // It is no user, whatever users there are.
      expect((await get('/users/me', token)).status).toBe(401)
    }
  })

  it.each<[what: string, form: Record<string, string>, headers?: Record<string, string>]>([
    ['nobody', grant],
    ['a wrong secret', grant, basic('job:a+b%', 'wrong')],
    ['no secret', { ...grant, client_id: 'job:a+b%' }],
    ['an unknown name', grant, basic('nobody', 'wrong')],
    ['an inherited name', grant, basic('__proto__', 'wrong')],
    [
      'a public client with a secret',
      { username: 'johndoe', password: PASSWORD, client_id: 'app', client_secret: 'x' },
    ],
    ['no pair in the header', grant, { authorization: `Basic ${btoa('job')}` }],
    ['bytes that are no UTF-8', grant, { authorization: 'Basic /zr/' }],
    ['a bad escape', grant, { authorization: `Basic ${btoa('%zz:x')}` }],
  ])('is refused that shows %s', async (_, form, headers) => {
    const { post } = await deployWithClients()
    const response = await post('/token', form, headers)
    expect(response.headers.get('www-authenticate')).toBe('Basic realm="oauth", charset="UTF-8"')
    expect(await refusalOf(response)).toEqual(invalid)
  })

  it('may show who it is in one way only, and use the grants that it has', async () => {
    const { post, secret } = await deployWithClients()
    const twice = await post('/token', { ...grant, client_secret: secret }, basic('job:a+b%', secret))
    expect(await refusalOf(twice)).toEqual([400, 'form-invalid', 'invalid_request'])
    const login = { username: 'johndoe', password: PASSWORD }
    const asUser = await post('/token', login, basic('job:a+b%', secret))
    expect(await refusalOf(asUser)).toEqual([400, 'grant-not-allowed', 'unauthorized_client'])
  })

  it('is refused at once when it is disabled', async () => {
    const { post, secret, store } = await deployWithClients()
    await store.updateOAuthClient('job:a+b%', { disabled: true }, BY)
    expect(await refusalOf(await post('/token', grant, basic('job:a+b%', secret)))).toEqual(invalid)
  })
})

describe('a refresh token', () => {
  const invalid = [400, 'grant-invalid', 'invalid_grant']
  const refresh = (token: string | undefined, more: object = {}) => ({
    grant_type: 'refresh_token',
    refresh_token: token ?? '',
    ...more,
  })

  it('is there when asked for, or always, and is exchanged for the next', async () => {
    const { logIn, post } = await deploy()
    expect(await tokensOf(await logIn())).not.toHaveProperty('refresh_token')
    const first = await tokensOf(await logIn({ scope: 'items:read offline_access' }))
    expect(first.scope).toBe('items:read')
    const second = await tokensOf(await post('/token', refresh(first.refresh_token)))
    expect(second.refresh_token).not.toBe(first.refresh_token)
    const [before, after] = [decodeJwt(first.access_token), decodeJwt(second.access_token)]
    expect(after).toMatchObject({ sub: 'johndoe', username: 'johndoe', scope: 'items:read', sid: before.sid })
    expect(after.jti).not.toBe(before.jti)
    const always = await deploy({ refreshTokens: 'always' })
    expect(await tokensOf(await always.logIn())).toHaveProperty('refresh_token')
    const never = await deploy({ grants: ['password'] })
    expect(await tokensOf(await never.logIn({ scope: 'offline_access' }))).not.toHaveProperty('refresh_token')
  })

  it('that is used twice ends the whole family, and its access tokens', async () => {
    const { logIn, post, get } = await deploy({ refreshTokens: 'always' })
    const first = await tokensOf(await logIn())
    const second = await tokensOf(await post('/token', refresh(first.refresh_token)))
    expect(await refusalOf(await post('/token', refresh(first.refresh_token)))).toEqual(invalid)
    expect(await refusalOf(await post('/token', refresh(second.refresh_token)))).toEqual(invalid)
    // No snapshot was taken yet: the first use sees what the store knows.
    expect((await get('/items', second.access_token)).status).toBe(401)
  })

  it('gives no more than its login had, nor more than the user has now', async () => {
    const { store, post } = await deploy({ refreshTokens: 'always' })
    await addUser(store, { username: 'ada', scopes: ['a', 'b'], roles: ['admin'] })
    const logged = await tokensOf(await post('/token', { username: 'ada', password: PASSWORD, scope: 'a' }))
    expect(await refusalOf(await post('/token', refresh(logged.refresh_token, { scope: 'b' })))).toEqual([
      400,
      'scope-invalid',
      'invalid_scope',
    ])
    await store.updateUser('ada', { scopes: ['b'], roles: [] }, BY)
    // The refusal above has not spent it.
    const next = await tokensOf(await post('/token', refresh(logged.refresh_token)))
    expect(decodeJwt(next.access_token)).toMatchObject({ scope: '', roles: [] })
  })

  it('is of its client alone, and of its user as long as he is enabled', async () => {
    const { store, post, logIn } = await deploy({ refreshTokens: 'always' })
    for (const clientId of ['app', 'other'])
      await addClient(store, { clientId, confidential: false, grants: ['password', 'refresh_token'] })
    const { refresh_token: token } = await tokensOf(await logIn({ client_id: 'app' }))
    for (const client of [{}, { client_id: 'other' }])
      expect(await refusalOf(await post('/token', refresh(token, client)))).toEqual(invalid)
    const next = await tokensOf(await post('/token', refresh(token, { client_id: 'app' })))
    await store.updateUser('johndoe', { disabled: true }, BY)
    expect(await refusalOf(await post('/token', refresh(next.refresh_token, { client_id: 'app' })))).toEqual(invalid)
  })

  it.each(['', 'x', 'umr_short', `umr_${'a'.repeat(65)}`])('that is no such token (%j) is refused', async (token) => {
    const { post } = await deploy()
    const [status] = await refusalOf(await post('/token', refresh(token)))
    expect(status).toBe(400)
  })
})

it('answers 503 for the while that the store does not answer, and tells no secret', async () => {
  const dead = {
    getByName: () => ({ execute: () => Promise.reject(new Error(PASSWORD)) }),
  } as unknown as Platform['identityStore']
  const { isolate } = await deploy()
  const { fetch } = isolate({ identityStore: dead })
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  const response = await fetch('/token', { method: 'POST', headers, body: 'username=johndoe&password=x' })
  expect(response.headers.get('retry-after')).toBe('1')
  expect(await refusalOf(response)).toEqual([503, 'state-unavailable', 'temporarily_unavailable'])
  const jwks = await fetch('/.well-known/jwks.json')
  expect([jwks.status, await jwks.text()]).toEqual([503, expect.not.stringContaining(PASSWORD)])
})
