import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { diagnostics, route, users, withPolicies } from '../support/config-file.ts'
import { loadConfig } from '../../src/config/load.ts'

/** Every object of the format that is keyed by header names, with the path of that object. */
const RECORDS: readonly (readonly [path: string, file: (record: object) => object])[] = [
  ['match.headers', (headers) => ({ routes: [{ ...route, match: { path: '/a', headers } }] })],
  ['policies.rules.require', (require) => withPolicies({ rules: { require } })],
  ['policies.rules.forbid', (forbid) => withPolicies({ rules: { forbid } })],
  [
    'policies.auth.identityHeaders',
    (identityHeaders) => withPolicies({ auth: { providers: ['main'], identityHeaders } }),
  ],
  ['policies.headers.request.set', (set) => withPolicies({ headers: { request: { set } } })],
  ['policies.headers.request.add', (add) => withPolicies({ headers: { request: { add } } })],
  ['policies.headers.response.set', (set) => withPolicies({ headers: { response: { set } } })],
  ['policies.headers.response.add', (add) => withPolicies({ headers: { response: { add } } })],
  ['respond.headers', (headers) => ({ routes: [{ id: 'a', match: { path: '/a' }, respond: { headers } }] })],
]

describe('an object that is keyed by header names', () => {
  it.each(RECORDS)('%s with one header in two spellings is refused', (path, file) => {
    expect(diagnostics(file({ 'X-Tool': 'sqlmap', 'x-tool': 'nikto' }))).toEqual([
      `routes[0].${path}["x-tool"]: "X-Tool" is the same header`,
    ])
    expect(diagnostics(file({ 'X-Tool': 'sqlmap', 'x-other': 'nikto' }))).toEqual([])
  })

  it('of `defaults` and a route is one object: the spelling of the route is refused there', () => {
    const defaults = { policies: { rules: { forbid: { 'User-Agent': '*sqlmap*' } } } }
    expect(diagnostics({ defaults, ...withPolicies({ rules: { forbid: { 'user-agent': '*nikto*' } } }) })).toEqual([
      'routes[0].policies.rules.forbid["user-agent"]: "User-Agent" is the same header',
    ])
    expect(diagnostics({ defaults, ...withPolicies({ rules: { forbid: { 'User-Agent': '*nikto*' } } }) })).toEqual([])
  })

  it('keeps every header, whatever the spelling of the names', () => {
    const name = fc.stringMatching(/^[A-Za-z][\w-]{0,5}$/)
    const names = fc.uniqueArray(name, { minLength: 1, maxLength: 6, selector: (text) => text.toLowerCase() })
    fc.assert(
      fc.property(names, fc.boolean(), (list, doubles) => {
        const spellings = doubles ? [...list, list[0]!.toUpperCase(), list[0]!.toLowerCase()] : list
        const forbid = Object.fromEntries(spellings.map((spelling, i) => [spelling, `v${i}`]))
        const loaded = loadConfig({
          version: 1,
          upstreams: { users },
          ...withPolicies({ rules: { forbid } }),
        })
        if ('diagnostics' in loaded) expect(Object.keys(forbid).length).toBeGreaterThan(list.length)
        else
          expect(Object.keys(loaded.config.routes[0]!.policies.rules!.forbid)).toEqual(
            Object.keys(forbid).map((spelling) => spelling.toLowerCase()),
          )
      }),
    )
  })
})
