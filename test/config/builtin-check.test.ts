import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { diagnosticText } from '../../src/config/schema/diagnostic.ts'

const jwt = { type: 'jwt', issuer: 'i', audience: 'a', algorithms: ['ES256'], jwksUri: 'https://id.test/jwks' }

function diagnostics(policies: object, path = '/admin/*', defaults = {}): string[] {
  const routes = [{ id: 'admin', match: { path }, builtin: 'admin', policies }]
  const loaded = loadConfig({ version: 1, authProviders: { main: jwt }, defaults, routes })
  return 'diagnostics' in loaded ? loaded.diagnostics.map(diagnosticText) : []
}

const auth = (parts: object) => ({ auth: { providers: ['main'], ...parts } })
const unguarded =
  'routes[0].policies: admin controls the traffic of every route; expected "auth" with "roles" or "scopes", or "ip" with "allow"'

describe('builtin: admin', () => {
  it.each([
    ['a role', auth({ roles: ['admin'] })],
    ['a scope', auth({ scopes: ['gateway:steer'] })],
    ['networks', { ip: { allow: ['10.0.0.0/8', '::1'] } }],
    ['a role and every network', { ...auth({ roles: ['admin'] }), ip: { allow: ['0.0.0.0/0'] } }],
  ])('is accepted behind %s', (_, policies) => {
    expect(diagnostics(policies)).toEqual([])
  })

  it('is accepted behind what the defaults say, and refused when its route switches that off', () => {
    const defaults = { policies: auth({ roles: ['admin'] }) }
    expect(diagnostics({}, '/admin/*', defaults)).toEqual([])
    expect(diagnostics({ auth: null }, '/admin/*', defaults)).toEqual([unguarded])
  })

  it.each([
    ['nothing', {}, unguarded],
    ['a deny-list alone', { ip: { deny: ['192.0.2.1'] } }, unguarded],
    [
      'any token',
      auth({ claims: { tenant: 'acme' } }),
      'routes[0].policies.auth: admin controls the traffic of every route; expected "roles" or "scopes": without them any token is accepted',
    ],
    [
      'every network',
      { ip: { allow: ['10.0.0.0/8', '::/0'] } },
      'routes[0].policies.ip.allow: admin controls the traffic of every route; "::/0" covers all addresses; expected the networks of operators',
    ],
    [
      'every network, written as mapped ones',
      { ip: { allow: ['::ffff:0:0/96'] } },
      'routes[0].policies.ip.allow: admin controls the traffic of every route; "::ffff:0:0/96" covers all addresses; expected the networks of operators',
    ],
    [
      'two halves of every network',
      { ip: { allow: ['0.0.0.0/1', '128.0.0.0/1'] } },
      'routes[0].policies.ip.allow: admin controls the traffic of every route; "0.0.0.0/1" covers half of all addresses; expected the networks of operators',
    ],
  ])('is refused behind %s', (_, policies, expected) => {
    expect(diagnostics(policies)).toEqual([expected])
  })

  it('needs a path that takes all of its endpoints', () => {
    expect(diagnostics(auth({ roles: ['admin'] }), '/admin')).toEqual([
      'routes[0].match.path: expected a final "/*": admin has several endpoints',
    ])
  })
})
