import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { configWarnings, environmentDiagnostics } from '../../src/config/environment.ts'
import { loadConfig } from '../../src/config/load.ts'
import { diagnosticText } from '../../src/config/schema/diagnostic.ts'
import { isInAny, parseCidr, parseIp, withoutHostBits } from '../../src/lib/ip.ts'
import { diagnostics, main, route, users, withPolicies } from '../support/config-file.ts'

function checked(parts: object) {
  const loaded = loadConfig({ version: 1, upstreams: { users }, routes: [route], ...parts })
  if ('diagnostics' in loaded) throw new Error(loaded.diagnostics.map(diagnosticText).join('\n'))
  return loaded.config
}

/** An object with `__proto__` as a member of its own, as JSON.parse makes it. */
const withProto = (value: unknown): object => JSON.parse(`{"__proto__":${JSON.stringify(value)}}`) as object

describe('a URL with control characters', () => {
  const CONTROLS = ['\n', '\t', '\r', '\0', '\x1f', '\x7f', ' ']

  it.each(CONTROLS)('is refused, wherever %j stands in it', (control) => {
    for (const url of [`http://a.test/${control}x`, `http://a${control}.test`, `${control}http://a.test`])
      expect(diagnostics({ upstreams: { users: { targets: [{ url }] } } })).toEqual([
        `upstreams.users.targets[0].url: expected a URL without spaces and control characters, found ${JSON.stringify(url)}`,
      ])
    const jwksUri = `https://id.test/k?a=${control}1`
    expect(diagnostics({ authProviders: { main: { ...main, jwksUri } } })[0]).toMatch(
      /^authProviders\.main\.jwksUri: expected a URL without spaces and control characters/,
    )
  })

  it('is refused in a variable too', () => {
    const config = checked({ upstreams: { users: { targets: [{ url: { $env: 'USERS_URL' } }] } } })
    expect(environmentDiagnostics(config, () => 'http://a.test/\nx')).toHaveLength(1)
    expect(environmentDiagnostics(config, () => 'http://a.test/x')).toEqual([])
  })
})

describe('__proto__', () => {
  it.each<[string, object, string]>([
    ['a parameter', withPolicies({}, { path: '/a/:__proto__' }), 'routes[0].match.path: "__proto__" cannot be a name'],
    [
      'a header of a match',
      withPolicies({}, { path: '/a', headers: withProto('1') }),
      'routes[0].match.headers.__proto__: cannot be a name',
    ],
    [
      'a query field',
      withPolicies({}, { path: '/a', query: withProto('1') }),
      'routes[0].match.query.__proto__: cannot be a name',
    ],
    [
      'a forbidden header',
      withPolicies({ rules: { forbid: withProto('*') } }),
      'routes[0].policies.rules.forbid.__proto__: cannot be a name',
    ],
    [
      'a claim',
      withPolicies({ auth: { providers: ['main'], claims: withProto('1') } }),
      'routes[0].policies.auth.claims.__proto__: cannot be a name',
    ],
    ['an upstream', { upstreams: withProto(users) }, 'upstreams.__proto__: cannot be a name'],
    ['an auth provider', { authProviders: withProto(main) }, 'authProviders.__proto__: cannot be a name'],
    [
      'a policy of defaults',
      { defaults: { policies: withProto({ bodyLimit: { max: '1mb' } }) } },
      'defaults.policies.__proto__: cannot be a name',
    ],
    ['a key of the file', withProto([]), '__proto__: cannot be a name'],
  ])('as %s is refused', (_, parts, expected) => {
    const file = Object.hasOwn(parts, '__proto__') ? parts : JSON.parse(JSON.stringify(parts))
    expect(diagnostics(file as object)).toContain(expected)
  })

  it.each<[string, object, RegExp]>([
    [
      'in a list of headers',
      { headers: { request: { remove: ['__Proto__'] } } },
      /request\.remove\[0\]: expected a header name/,
    ],
    [
      'in CORS',
      { cors: { origins: ['*'], headers: ['__proto__'] } },
      /cors\.headers\[0\]: expected a header name, found "__proto__"$/,
    ],
    [
      'in the key of a limit',
      {
        rateLimit: [
          { name: 'l', algorithm: 'fixed-window', limit: 5, window: '1s', key: ['client.ip', 'header:__proto__'] },
        ],
      },
      /rateLimit\[0\]\.key\[1\]: /,
    ],
  ])('%s is refused', (_, policies, expected) => {
    expect(diagnostics(withPolicies(policies))).toEqual([expect.stringMatching(expected)])
  })
})

describe('a network with host bits', () => {
  it.each([
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['192.0.2.1/31', '192.0.2.0/31'],
    ['1.2.3.4/0', '0.0.0.0/0'],
    ['2001:db8::1/32', '2001:db8::/32'],
    ['2001:db8:1::/32', '2001:db8::/32'],
    ['::ffff:10.0.0.1/104', '10.0.0.0/8'],
  ])('%s is refused: %s is meant', (network, meant) => {
    const message = `the address has bits beyond its prefix; expected "${meant}", found "${network}"`
    expect(diagnostics(withPolicies({ ip: { allow: [network] } }))).toEqual([
      `routes[0].policies.ip.allow[0]: ${message}`,
    ])
    expect(diagnostics({ clientAddress: { source: 'x-forwarded-for', trustedProxies: [network] } })).toEqual([
      `clientAddress.trustedProxies[0]: ${message}`,
    ])
    expect(parseCidr(meant)).toBeDefined()
    if (!meant.endsWith('/0')) expect(diagnostics(withPolicies({ ip: { allow: [meant] } }))).toEqual([])
  })

  it('has a base that holds the same addresses and has no host bits', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6())
    fc.assert(
      fc.property(address, address, fc.nat(32), (text, other, length) => {
        const cidr = parseCidr(`${text}/${length}`)
        const ip = parseIp(other)
        if (cidr === undefined || ip === undefined) return
        const base = withoutHostBits(cidr)
        if (base === undefined) return
        const meant = parseCidr(base)!
        expect(withoutHostBits(meant)).toBeUndefined()
        expect(isInAny(cidr.network, [meant])).toBe(true)
        expect(isInAny(ip, [meant])).toBe(isInAny(ip, [cidr]))
      }),
    )
  })
})

describe('a key of a limit with one part twice', () => {
  const limits = (...key: string[]) =>
    diagnostics(withPolicies({ rateLimit: [{ name: 'l', algorithm: 'fixed-window', limit: 5, window: '1s', key }] }))

  it('is refused, also where only the case of a header differs', () => {
    const at = 'routes[0].policies.rateLimit[0].key'
    expect(limits('client.ip', 'client.ip')).toEqual([`${at}[1]: is the same as key[0]`])
    expect(limits('client.ip', 'header:X-A', 'header:x-a')).toEqual([`${at}[2]: is the same as key[1]`])
    expect(limits('client.ip', 'const:a', 'const:A', 'header:x-a')).toEqual([])
  })
})

describe('a warning', () => {
  const warnings = (parts: object, variable: (name: string) => string | undefined = () => undefined) =>
    configWarnings(checked(parts), variable).map(diagnosticText)
  const targets = (url: unknown) => ({ upstreams: { users: { targets: [{ url }] } } })

  it('names the upstreams and the auth providers that no route uses', () => {
    expect(warnings({ upstreams: { users, old: users }, authProviders: { main } })).toEqual([
      'authProviders.main: no route uses it',
      'upstreams.old: no route uses it',
    ])
  })

  it('is not given for what a route uses: a split, a mirror, an OAuth endpoint', () => {
    const own = { type: 'jwt', issuer: 'https://gw.test/', audience: 'api', algorithms: ['ES256'], keys: 'self' }
    const policies = {
      split: [{ upstream: 'next', percent: 5, stickyOn: 'client.ip' }],
      mirror: { upstream: 'shadow', percent: 10 },
    }
    const jwks = { id: 'jwks', match: { path: '/jwks' }, builtin: 'jwks' }
    const routes = [{ ...route, policies }, jwks]
    expect(warnings({ upstreams: { users, next: users, shadow: users }, authProviders: { own }, routes })).toEqual([])
    expect(warnings({ authProviders: { main }, ...withPolicies({ auth: { providers: ['main'] } }) })).toEqual([])
  })

  it.each([
    'http://169.254.169.254/latest',
    'http://169.254.0.1:80',
    'http://0xa9fea9fe/',
    'http://2852039166',
    'http://[fd00:ec2::254]/',
    'http://[fe80::1]/',
    'http://[::ffff:169.254.169.254]/',
    'http://metadata.google.internal/computeMetadata',
    'http://metadata.google.internal.',
  ])('names %s as a target, written and in a variable', (url) => {
    const expected = [
      'upstreams.users.targets[0].url: is a link-local or metadata address, which gives the credentials of the machine to its callers',
    ]
    expect(warnings(targets(url))).toEqual(expected)
    expect(warnings(targets({ $env: 'USERS_URL' }), () => url)).toEqual(expected)
  })

  it.each(['http://10.0.0.1', 'http://169.253.255.255', 'http://[fd00:ec1::1]', 'https://users.example'])(
    'is not given for %s',
    (url) => {
      expect(warnings(targets(url))).toEqual([])
      expect(warnings(targets({ $env: 'USERS_URL' }))).toEqual([])
    },
  )
})
