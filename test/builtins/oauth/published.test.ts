import { createLocalJWKSet, jwtVerify, type JSONWebKeySet } from 'jose'
import { expect, it } from 'vitest'
import { makeTestGateway } from '../../support/gateway-in-workerd.ts'
import { addUser, BY, deploy, gatewayProvider, ISSUER, routes, type TokenAnswer } from './authority.ts'

it('publishes the keys that others need to verify its tokens, and nothing private', async () => {
  const { fetch, logIn } = await deploy()
  const response = await fetch('/.well-known/jwks.json')
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/json'])
  expect(response.headers.get('cache-control')).toBe('public, max-age=300')
  const jwks = await response.json<JSONWebKeySet>()
  for (const key of jwks.keys)
    expect(Object.keys(key).toSorted()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
  const { access_token: token } = await (await logIn()).json<TokenAnswer>()
  const options = { issuer: ISSUER, audience: 'api', typ: 'at+jwt', algorithms: ['ES256'] }
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), options)
  expect(payload.sub).toBe('johndoe')
})

it('makes one key, whichever isolate comes first', async () => {
  const { isolate } = await deploy()
  const sets = await Promise.all(Array.from({ length: 8 }, () => isolate().fetch('/.well-known/jwks.json')))
  expect(new Set(await Promise.all(sets.map((set) => set.text()))).size).toBe(1)
})

it('verifies what another isolate signs with a key that it has not seen, and refuses keys that were replaced', async () => {
  let now = Date.now()
  const { isolate, logIn, get, store } = await deploy({}, { now: () => now })
  const { access_token: old } = await (await logIn()).json<TokenAnswer>()
  expect((await get('/items', old)).status).toBe(200)
  await store.replaceSigningKeys(BY)
  const form = new URLSearchParams({ username: 'johndoe', password: 'correct horse battery' })
  now += 2_000
  const signed = await isolate().fetch('/token', { method: 'POST', body: form })
  const { access_token: fresh } = await signed.json<TokenAnswer>()
  expect((await get('/items', fresh)).status).toBe(200)
  expect((await get('/items', old)).status).toBe(401)
})

it('tells clients where everything is', async () => {
  const { fetch } = await deploy()
  const response = await fetch('/.well-known/oauth-authorization-server')
  expect(response.headers.get('content-type')).toBe('application/json')
  expect(await response.json()).toEqual({
    issuer: ISSUER,
    token_endpoint: 'https://gw.test/token',
    jwks_uri: 'https://gw.test/.well-known/jwks.json',
    response_types_supported: [],
    grant_types_supported: ['password', 'client_credentials', 'refresh_token'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
    revocation_endpoint: 'https://gw.test/revoke',
    revocation_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
    introspection_endpoint: 'https://gw.test/introspect',
    introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
  })
  const head = await fetch('/.well-known/jwks.json', { method: 'HEAD' })
  expect([head.status, await head.text()]).toEqual([200, ''])
  expect((await fetch('/.well-known/jwks.json', { method: 'POST' })).headers.get('allow')).toBe('GET, HEAD')
})

it('is about no user of another issuer who has the same name', async () => {
  const { identity, store } = await deploy()
  await addUser(store, { username: 'ada' })
  const external = {
    type: 'jwt',
    issuer: 'https://id.test/',
    audience: 'api',
    algorithms: ['HS256'],
    secret: { $secret: 'S' },
  }
  const me = {
    id: 'me',
    match: { path: '/me' },
    builtin: 'userinfo',
    policies: { auth: { providers: ['gateway', 'external'] } },
  }
  const gateway = makeTestGateway(
    { authProviders: { gateway: gatewayProvider, external }, routes: [me] },
    { identityStore: identity, secret: () => 'a secret of more than thirty-two bytes' },
  )
  const { SignJWT } = await import('jose')
  const token = await new SignJWT({ username: 'ada' })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer('https://id.test/')
    .setAudience('api')
    .setSubject('ada')
    .setExpirationTime('5m')
    .sign(new TextEncoder().encode('a secret of more than thirty-two bytes'))
  const response = await gateway.fetch('/me', { headers: { authorization: `Bearer ${token}` } })
  expect([response.status, await response.json()]).toEqual([401, expect.objectContaining({ code: 'user-unknown' })])
})

it.each<[what: string, change: object, diagnostic: string]>([
  ['no provider', { authProviders: {} }, 'routes[0].builtin: needs an auth provider of type "jwt" with "keys": "self"'],
  [
    'two of them',
    { authProviders: { gateway: gatewayProvider, second: gatewayProvider } },
    'authProviders.second.keys: "gateway" has "self" already',
  ],
  [
    'keys of two sorts',
    { authProviders: { gateway: { ...gatewayProvider, secret: { $secret: 'S' } } } },
    'authProviders.gateway.secret: has no use with "keys": "self"',
  ],
  [
    'another algorithm',
    { authProviders: { gateway: { ...gatewayProvider, algorithms: ['RS256'] } } },
    'authProviders.gateway.algorithms: expected ["ES256"]',
  ],
  [
    'an issuer that is no URL',
    { authProviders: { gateway: { ...gatewayProvider, issuer: 'me' } } },
    'routes[5].builtin: needs an issuer that is a URL',
  ],
  [
    'tokens that others issue',
    {
      authProviders: {
        gateway: gatewayProvider,
        main: {
          type: 'jwt',
          issuer: 'x',
          audience: 'a',
          algorithms: ['ES256'],
          jwksUri: 'https://x.test/',
          tokens: {},
        },
      },
    },
    'authProviders.main.tokens: goes with "keys": "self" only',
  ],
  [
    'a userinfo for everybody',
    { routes: [{ id: 'me', match: { path: '/me' }, builtin: 'userinfo' }] },
    'routes[0].policies: expected "auth" with the provider that has "keys": "self"',
  ],
  [
    'a path with a parameter',
    { routes: [{ id: 'jwks', match: { path: '/:tenant/jwks' }, builtin: 'jwks' }] },
    'routes[0].match.path: expected a path without parameters',
  ],
])('refuses a file with %s', (_, change, diagnostic) => {
  const file = { authProviders: { gateway: gatewayProvider }, routes, ...change }
  expect(() => makeTestGateway(file)).toThrow(diagnostic)
})
