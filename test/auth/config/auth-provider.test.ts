import { describe, expect, it } from 'vitest'
import { environmentDiagnostics, unsetKeys } from '../../../src/config/environment.ts'
import { loadConfig } from '../../../src/config/load.ts'
import { diagnosticText } from '../../../src/config/schema/diagnostic.ts'

const introspection = {
  type: 'introspection',
  url: 'https://id.test/introspect',
  clientId: 'gw',
  clientSecret: { $secret: 'ID_SECRET' },
}
const load = (provider: object, auth: object = {}) =>
  loadConfig({
    version: 1,
    authProviders: { p: provider, keys: { type: 'apiKey' } },
    routes: [{ id: 'a', match: { path: '/a' }, respond: {}, policies: { auth: { providers: ['p'], ...auth } } }],
  })
const diagnostics = (provider: object) => {
  const loaded = load(provider)
  return 'diagnostics' in loaded ? loaded.diagnostics.map(diagnosticText) : []
}
const configOf = (provider: object, auth?: object) => {
  const loaded = load(provider, auth)
  if ('diagnostics' in loaded) throw new Error('refused')
  return loaded.config
}

describe('auth providers', () => {
  it('of each type need no more than what they cannot know', () => {
    expect(diagnostics({ type: 'apiKey' })).toEqual([])
    expect(diagnostics({ type: 'mtls', subjects: ['CN=partner'] })).toEqual([])
    expect(diagnostics(introspection)).toEqual([])
    expect(configOf({ type: 'apiKey' }).authProviders.p).toMatchObject({
      type: 'apiKey',
      header: 'x-api-key',
      cacheTtl: 30_000,
      discloseRequirements: false,
    })
  })

  it.each([
    [{ type: 'saml' }, /^authProviders\.p\.type: expected one of "jwt", "apiKey", /],
    [{}, /^authProviders\.p\.type: expected one of "jwt", /],
    [{ type: 'apiKey', header: 'Authorization' }, /^authProviders\.p\.header: expected a header of your own/],
    [{ type: 'apiKey', header: 'cookie' }, /^authProviders\.p\.header: /],
    [{ type: 'apiKey', header: 'x-forwarded-for' }, /^authProviders\.p\.header: /],
    [{ type: 'apiKey', query: 'key' }, /^authProviders\.p\.query: unknown key/],
    [{ type: 'apiKey', cacheTtl: '2h' }, /^authProviders\.p\.cacheTtl: expected a duration from 1s to 1h/],
    [{ type: 'mtls', subjects: [] }, /^authProviders\.p\.subjects: expected at least one/],
    [{ type: 'mtls', subjects: ['partner'] }, /^authProviders\.p\.subjects\[0\]: expected a distinguished name/],
    [{ type: 'mtls', subjects: ['CN=a', 'CN=a'] }, /^authProviders\.p\.subjects\[1\]: "CN=a" stands twice/],
    [
      { ...introspection, clientSecret: 'hunter2' },
      /^authProviders\.p\.clientSecret: expected \{ "\$secret"(?!.*hunter2)/,
    ],
    [{ ...introspection, url: 'https://u:hunter2@id.test/' }, /^authProviders\.p\.url: (?!.*hunter2)/],
    [{ ...introspection, rolesClaim: [] }, /^authProviders\.p\.rolesClaim: expected at least one name/],
    [{ ...introspection, scopesClaim: ['a', ''] }, /^authProviders\.p\.scopesClaim\[1\]: expected the name of a claim/],
    [{ ...introspection, rolesClaim: 7 }, /^authProviders\.p\.rolesClaim: expected a claim such as /],
    [
      { ...introspection, audienceClaim: 'client_id' },
      /^authProviders\.p\.audienceClaim: has no use without "audience"/,
    ],
    [
      { type: 'jwt', issuer: 'i', audience: 'a', algorithms: ['ES256'], keys: 'self', audienceClaim: 'client_id' },
      /^authProviders\.p\.audienceClaim: has no use with "keys": "self"/,
    ],
    [{ ...introspection, timeout: '1m' }, /^authProviders\.p\.timeout: expected a duration from 10ms to 10s/],
  ])('%j is refused', (provider, message) => {
    expect(diagnostics(provider)).toEqual([expect.stringMatching(message)])
  })

  it('say at the start which secret or variable is not set, and what that closes', () => {
    const inVariable = { ...introspection, url: { $env: 'ID_URL' } }
    expect(unsetKeys(configOf(introspection), () => undefined)).toEqual(['ID_SECRET is not set: route a answers 503'])
    expect(unsetKeys(configOf(inVariable), (name) => (name === 'ID_SECRET' ? 's' : undefined))).toEqual([
      'ID_URL is not set: route a answers 503',
    ])
    expect(unsetKeys(configOf(introspection, { providers: ['keys', 'p'] }), () => undefined)).toEqual([
      'ID_SECRET is not set: route a (to tokens of p) answers 503',
    ])
    expect(unsetKeys(configOf(introspection, { providers: ['keys', 'p'], require: 'all' }), () => undefined)).toEqual([
      'ID_SECRET is not set: route a answers 503',
    ])
    expect(unsetKeys(configOf(introspection), () => 'set')).toEqual([])
    expect(environmentDiagnostics(configOf(inVariable), () => 'nonsense').map(({ path }) => path)).toEqual([
      ['authProviders', 'p', 'url'],
    ])
  })
})
