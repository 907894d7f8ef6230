import { describe, expect, it } from 'vitest'
import { makeTestPlatform } from '../support/platform.ts'
import { makeGate } from './gate.ts'
import { ISSUER, makeIssuer, makeKey, provider, sign } from './issuer.ts'

const key = await makeKey('k1')
const issuer = makeIssuer(key)

describe('several providers', () => {
  const SECRET = 'a secret of at least 32 bytes, so long'
  const hmac = async () => ({
    alg: 'HS256',
    privateKey: await crypto.subtle.importKey(
      'raw',
      new TextEncoder().encode(SECRET),
      { name: 'HMAC', hash: 'SHA-256' },
      false,
      ['sign'],
    ),
  })
  const legacy = (issuerName: string) =>
    provider({ issuer: issuerName, algorithms: ['HS256'], jwksUri: undefined, secret: { $secret: 'OLD' } })
  const siteWith = (issuerName: string, secret: string | undefined) =>
    makeTestPlatform({
      authProviders: { main: provider(), legacy: legacy(issuerName) },
      fetch: issuer.fetch,
      secret: ({ $secret }) => ($secret === 'OLD' ? secret : undefined),
    })

  it('asks the one that the issuer names, and no other', async () => {
    const both = makeGate(siteWith('old', SECRET))
    const old = await sign(await hmac(), { iss: 'old' })
    expect((await both(`Bearer ${old}`)).x.identity?.provider).toBe('legacy')
    expect((await both(`Bearer ${await sign(key)}`)).x.identity?.provider).toBe('main')
    expect((await both(`Bearer ${await sign(await hmac(), { iss: ISSUER })}`)).code).toBe('token-algorithm')
    expect((await both(`Bearer ${await sign(key, { iss: 'old' })}`)).code).toBe('token-algorithm')
  })

  it('tells those that share an issuer apart by algorithm', async () => {
    const both = makeGate(siteWith(ISSUER, SECRET))
    expect((await both(`Bearer ${await sign(await hmac())}`)).x.identity?.provider).toBe('legacy')
    expect((await both(`Bearer ${await sign(key)}`)).x.identity?.provider).toBe('main')
  })

  it('tries each of those that share issuer and algorithm, and answers 503 when one cannot say', async () => {
    const other = await makeKey('k2')
    const down = 'https://down.test/jwks.json'
    const twins = (jwksUri: string) =>
      makeTestPlatform({
        authProviders: { main: provider({ jwksUri }), second: provider({ jwksUri: 'https://second.test/jwks.json' }) },
        fetch: async (url) =>
          url === down
            ? new Response('', { status: 500 })
            : Response.json({ keys: [url.startsWith('https://second') ? other.jwk : key.jwk] }),
      })
    expect((await makeGate(twins('https://first.test/'))(`Bearer ${await sign(other)}`)).x.identity?.provider).toBe(
      'second',
    )
    expect((await makeGate(twins(down))(`Bearer ${await sign(other)}`)).status).toBe(200)
    expect((await makeGate(twins(down))(`Bearer ${await sign(key)}`)).code).toBe('keys-unavailable')
  })

  it.each([
    ['missing', undefined],
    ['empty', ''],
    ['shorter than the hash', SECRET.slice(0, 31)],
  ])('answers 503 while the secret is %s, and nobody gets in', async (_, secret) => {
    const closed = siteWith('old', secret)
    const token = await sign(await hmac(), { iss: 'old' })
    expect(await makeGate(closed)(`Bearer ${token}`)).toMatchObject({ code: 'not-configured', status: 503 })
    expect(await makeGate(closed, { providers: ['legacy'] })()).toMatchObject({ code: 'not-configured', status: 503 })
    expect((await makeGate(closed)(`Bearer ${await sign(key)}`)).status).toBe(200)
  })

  it('answers 503 while the variable with the address of the keys is not set', async () => {
    const unset = makeTestPlatform({ authProviders: { main: provider({ jwksUri: { $env: 'JWKS' } }) } })
    expect((await makeGate(unset)(`Bearer ${await sign(key)}`)).code).toBe('not-configured')
  })
})
