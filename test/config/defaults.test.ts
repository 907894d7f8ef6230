import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { diagnosticLines, diagnosticText } from '../../src/config/schema/diagnostic.ts'

type Policies = Record<string, unknown>

const main = { type: 'jwt', issuer: 'i', audience: 'a', algorithms: ['HS256'], secret: { $secret: 'S' } }

/** The diagnostics of routes with these policies under these defaults. */
function diagnostics(defaults: Policies, own: readonly Policies[], path = (i: number) => `/${i}`): string[] {
  const loaded = loadConfig({
    version: 1,
    authProviders: { main },
    defaults: { policies: defaults },
    routes: own.map((policies, i) => ({ id: `r${i}`, match: { path: path(i) }, respond: {}, policies })),
  })
  return 'diagnostics' in loaded ? loaded.diagnostics.map(diagnosticText) : []
}

const limiter = { name: 'l', algorithm: 'fixed-window', limit: 5, window: '1500ms', key: ['client.ip'] }
const auth = { providers: ['main'] }

describe('a complaint about a value from defaults', () => {
  it.each<[string, Policies, RegExp]>([
    ['an unknown provider', { auth: { providers: ['mian'] } }, /^defaults\.policies\.auth\.providers\[0\]: .*"main"/],
    [
      'a header of the connection',
      { headers: { response: { set: { te: 'x' } } } },
      /^defaults\.policies\.headers\.response\.set\.te: /,
    ],
    [
      'a name that all objects have',
      { headers: { response: { set: { constructor: '{' } } } },
      /^defaults\.policies\.headers\.response\.set\.constructor: expected every "\{"/,
    ],
    ['a limiter', { rateLimit: [limiter] }, /^defaults\.policies\.rateLimit\[0\]\.window: expected whole seconds/],
    ['something missing', { bodyLimit: {} }, /^defaults\.policies\.bodyLimit\.max: required/],
    [
      'a parameter that no route has',
      { headers: { response: { set: { 'x-id': '{params.id}' } } } },
      /^defaults\.policies.*no parameter "\{params\.id\}"/,
    ],
  ])('is said once, there: %s', (_, defaults, expected) => {
    const found = diagnostics(defaults, [{}, {}, { cors: null }])
    expect(found).toEqual([expect.stringMatching(expected)])
  })

  it('stays with the routes that make it wrong', () => {
    const defaults = { headers: { response: { set: { 'x-user': '{jwt.sub}' } } } }
    expect(diagnostics(defaults, [{ auth }, {}, { auth }])).toEqual([
      'routes[1].policies.headers.response.set["x-user"]: "{jwt.sub}" needs the policy "auth" on this route',
    ])
    const ofParam = { headers: { response: { set: { 'x-id': '{params.id}' } } } }
    expect(diagnostics(ofParam, [{}, {}], (i) => (i === 0 ? '/a/:id' : '/b'))).toEqual([
      expect.stringMatching(/^routes\[1\]\.policies\.headers\.response\.set\["x-id"\]: no parameter/),
    ])
  })

  it('is not made of what a route says itself, nor where no route inherits it', () => {
    const wrong = { providers: ['mian'] }
    expect(diagnostics({ auth: wrong }, [{ auth: wrong }, {}]).map((text) => text.split(':')[0])).toEqual([
      'routes[0].policies.auth.providers[0]',
      'defaults.policies.auth.providers[0]',
    ])
    expect(diagnostics({ auth: wrong }, [{ auth }, { auth: null }])).toEqual([])
    expect(diagnostics({ bodyLimit: {} }, [{ bodyLimit: { max: '1kb' } }, { bodyLimit: null }])).toEqual([])
    expect(diagnostics({ rateLimit: [limiter] }, [{ rateLimit: [{ ...limiter, window: '2500ms' }] }])).toEqual([
      expect.stringMatching(/^routes\[0\]\.policies\.rateLimit\[0\]\.window: /),
    ])
  })
})

describe('complaintLines', () => {
  it('shows twenty and counts the rest', () => {
    const many = (count: number) => Array.from({ length: count }, (_, i) => ({ path: [i], message: 'm' }))
    expect(diagnosticLines(many(20))).toHaveLength(20)
    expect(diagnosticLines(many(10_000)).slice(-2)).toEqual(['  [19]: m', '  … and 9980 more'])
  })
})
