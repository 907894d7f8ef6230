import { describe, expect, it } from 'vitest'
import { environmentDiagnostics } from '../../src/config/environment.ts'
import { loadConfig } from '../../src/config/load.ts'
import { diagnosticText } from '../../src/config/schema/diagnostic.ts'
import { makeTestGateway } from '../support/gateway-in-workerd.ts'

const PRODUCTION = { targets: 'https' }
const keys = { type: 'jwt', issuer: 'http://id.test/', audience: 'a', algorithms: ['ES256'] }

const fileOf = (targets: object[], authProviders: object = {}, transport: object = PRODUCTION) => ({
  version: 1,
  transport,
  authProviders,
  upstreams: { users: { targets } },
  routes: [{ id: 'users', match: { path: '/users' }, upstream: 'users' }],
})

/** The diagnostics of a file, with these variables set. */
function diagnostics(file: object, variables: Record<string, string> = {}): string[] {
  const loaded = loadConfig(file)
  const found =
    'diagnostics' in loaded ? loaded.diagnostics : environmentDiagnostics(loaded.config, (name) => variables[name])
  return found.map(diagnosticText)
}

describe('transport.targets', () => {
  it.each<[what: string, file: object, variables: Record<string, string>]>([
    ['https', fileOf([{ url: 'https://a.test' }]), {}],
    ['plain HTTP that was meant', fileOf([{ url: 'http://127.0.0.1:9101', insecure: true }]), {}],
    ['plain HTTP where nobody asked', fileOf([{ url: 'http://a.test' }], {}, {}), {}],
    ['a variable that is not known yet', fileOf([{ url: { $env: 'A' } }]), {}],
    ['a variable with https', fileOf([{ url: { $env: 'A' } }]), { A: 'https://a.test' }],
    ['a variable with http that was meant', fileOf([{ url: { $env: 'A' }, insecure: true }]), { A: 'http://a.test' }],
    [
      'keys by https, from an issuer whose name is no address',
      fileOf([{ url: 'https://a.test' }], { main: { ...keys, jwksUri: 'https://id.test/jwks' } }),
      {},
    ],
  ])('takes %s', (_what, file, variables) => {
    expect(diagnostics(file, variables)).toEqual([])
  })

  const expected = 'expected https, because transport.targets is "https"'
  it.each<[what: string, file: object, variables: Record<string, string>, diagnostic: string]>([
    [
      'plain HTTP',
      fileOf([{ url: 'https://a.test' }, { url: 'http://a.test' }]),
      {},
      `upstreams.users.targets[1].url: ${expected}; "insecure": true on the target allows it`,
    ],
    ['it in capitals', fileOf([{ url: 'HTTP://a.test' }]), {}, expected],
    [
      'a scheme with a tab, which the URL parser drops',
      fileOf([{ url: 'ht\ttp://a.test' }]),
      {},
      'upstreams.users.targets[0].url: expected a URL without spaces and control characters',
    ],
    [
      'a variable with plain HTTP',
      fileOf([{ url: { $env: 'A' } }]),
      { A: 'http://a.test' },
      `upstreams.users.targets[0].url: the variable A holds http; ${expected}`,
    ],
    [
      'keys by plain HTTP',
      fileOf([{ url: 'https://a.test' }], { main: { ...keys, jwksUri: 'http://id.test/jwks' } }),
      {},
      `authProviders.main.jwksUri: ${expected}`,
    ],
    [
      'keys from a variable with plain HTTP',
      fileOf([{ url: 'https://a.test' }], { main: { ...keys, jwksUri: { $env: 'J' } } }),
      { J: 'http://id.test/jwks' },
      `authProviders.main.jwksUri: the variable J holds http; ${expected}`,
    ],
  ])('refuses %s', (_what, file, variables, diagnostic) => {
    expect(diagnostics(file, variables)).toEqual([expect.stringContaining(diagnostic)])
  })

  it('stops the Worker at its start when the variable turns out to be plain HTTP', () => {
    const start = (url: string) => makeTestGateway(fileOf([{ url: { $env: 'A' } }]), { variable: () => url })
    expect(() => start('http://a.test')).toThrow('upstreams.users.targets[0].url: the variable A holds http')
    expect(() => start('https://a.test')).not.toThrow()
  })
})

describe('the token endpoint', () => {
  const limiter = { name: 'logins', algorithm: 'token-bucket', limit: 5, window: '1m', burst: 10, key: ['client.ip'] }
  const tokenRoute = (rateLimit?: object[]) => ({
    version: 1,
    routes: [
      {
        id: 'token',
        match: { methods: ['POST'], path: '/token' },
        builtin: 'token',
        policies: rateLimit ? { rateLimit } : {},
      },
    ],
  })
  const about = (file: object) => diagnostics(file).filter((line) => line.startsWith('routes[0].policies.rateLimit: '))

  it('is refused without a limit before auth', () => {
    for (const limiters of [undefined, [limiter]])
      expect(about(tokenRoute(limiters))).toEqual([
        expect.stringMatching(/^routes\[0\]\.policies\.rateLimit: any client can guess passwords; expected a limiter/),
      ])
    expect(about(tokenRoute([{ ...limiter, before: 'auth' }]))).toEqual([])
  })

  it('is refused with a limit that one caller can use up for all', () => {
    const shared = { ...limiter, before: 'auth', key: ['route'] }
    expect(about(tokenRoute([shared]))).toEqual([expect.stringContaining('one client could use up the limit of all')])
    expect(about(tokenRoute([shared, { ...limiter, name: 'own', before: 'auth' }]))).toEqual([])
  })
})
