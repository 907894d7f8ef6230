import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod/mini'
import { loadConfig } from '../../src/config/load.ts'
import { diagnosticText } from '../../src/config/schema/diagnostic.ts'
import type { Identity } from '../../src/core/exchange.ts'
import type { Handler } from '../../src/core/pipeline.ts'
import { split } from '../../src/policies/split.ts'
import { makeTestExchange } from '../support/exchange.ts'
import { makeTestGateway } from '../support/gateway-in-workerd.ts'
import { makeTestFacts, makeTestPlatform, originUrl } from '../support/platform.ts'

const ann: Identity = { provider: 'm', issuer: 'https://id.test/', subject: 'ann', scopes: [], roles: [], claims: {} }
const next = { upstream: 'next', percent: 5, stickyOn: 'jwt.sub', overrideHeader: 'X-Canary' }
const request = new Request('https://gw.test/users/7')

/** Compiles the layer for a route of the upstream `users`; each call sends one request and returns the upstream that got it. */
function compile(config: unknown, { id = 'get-user', random = Math.random } = {}) {
  let reached = ''
  const response = Promise.resolve(new Response())
  const sendTo = (name: string): Handler => {
    return () => {
      reached = name
      return response
    }
  }
  const facts = makeTestFacts({ id, upstream: 'users', hasAuth: true, sendTo })
  const handler = split.compile(z.parse(split.config, config), makeTestPlatform({ random }), facts)(sendTo('own'))
  const plain = makeTestExchange(request)
  return (subject?: string, headers?: Record<string, string>) => {
    const x = headers === undefined ? plain : makeTestExchange(new Request(request, { headers }))
    x.identity = subject === undefined ? undefined : { ...ann, subject }
    void handler(x)
    return reached
  }
}

/** How many per cent of 10⁵ callers each upstream gets. */
function sharesOf(ask: (subject: string) => string, prefix = ''): Record<string, number> {
  const counts: Record<string, number> = {}
  for (let i = 0; i < 100_000; i++) {
    const name = ask(prefix + i)
    counts[name] = (counts[name] ?? 0) + 1
  }
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, count / 1_000]))
}

describe('a share', () => {
  it('is met within one per cent, whoever the callers are', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 100, noNaN: true }), fc.string(), fc.string(), (percent, id, prefix) => {
        const { next: share = 0 } = sharesOf(compile([{ ...next, percent }], { id }), prefix)
        expect(Math.abs(share - percent)).toBeLessThan(1)
      }),
      {
        numRuns: 6,
        examples: [
          [5, 'get-user', 'user-'],
          [0, 'a', ''],
          [100, 'a', ''],
        ],
      },
    )
  })

  it('is nobody at 0 and everybody at 100', () => {
    expect(sharesOf(compile([{ ...next, percent: 0 }]))).toEqual({ own: 100 })
    expect(sharesOf(compile([{ ...next, percent: 100 }]))).toEqual({ next: 100 })
  })

  it('is beside the others: nobody belongs to two, and the route’s own upstream gets what is left', () => {
    const sizes = [10, 20, 30, 25]
    const shares = sharesOf(compile(sizes.map((percent, i) => ({ ...next, upstream: `n${i}`, percent }))))
    for (const [i, size] of sizes.entries()) expect(Math.abs(shares[`n${i}`]! - size)).toBeLessThan(1)
    expect(Math.abs(shares.own! - 15)).toBeLessThan(1)
    const thirds = [33.3, 33.3, 33.4].map((percent, i) => ({ ...next, upstream: `n${i}`, percent }))
    expect(sharesOf(compile(thirds)).own ?? 0).toBe(0)
  })

  it('is drawn by lot for each request without stickyOn', () => {
    const draws = [0, 0.049, 0.05, 0.5, 0.9, 0.901]
    const ask = compile(
      [
        { upstream: 'next', percent: 5 },
        { upstream: 'other', percent: 10 },
      ],
      { random: () => draws.shift()! },
    )
    expect([ask(), ask(), ask(), ask(), ask('ann'), ask('ann')]).toEqual([
      'next',
      'next',
      'own',
      'own',
      'other',
      'other',
    ])
  })

  it('is of another set of callers on another route', () => {
    const entries = [{ ...next, percent: 20 }]
    const [users, orders] = [compile(entries), compile(entries, { id: 'get-order' })]
    const both = sharesOf((subject) => (users(subject) === 'next' && orders(subject) === 'next' ? 'both' : 'no')).both!
    expect(Math.abs(both - 4)).toBeLessThan(0.5)
  })
})

describe('a caller', () => {
  const subject = fc.string({ minLength: 1 })

  it('stays where it is, in every isolate and over every release', () => {
    const [one, another] = [compile([next]), compile([next])]
    fc.assert(fc.property(subject, (name) => one(name) === another(name)))
    // Fixed values: a change would reassign the callers of every split.
    const first = Array.from({ length: 100 }, (_, i) => `user-${i}`).filter((name) => one(name) === 'next')
    expect(first).toEqual([
      'user-6',
      'user-22',
      'user-23',
      'user-32',
      'user-34',
      'user-73',
      'user-77',
      'user-88',
      'user-94',
    ])
  })

  it('is brought in by a larger percentage and never sent out, and never moved by that of the other entry', () => {
    const percent = fc.integer({ min: 0, max: 50 })
    fc.assert(
      fc.property(subject, percent, percent, percent, (name, a, b, other) => {
        const [small, large] = [Math.min(a, b), Math.max(a, b)]
        for (const [grown, low, high] of [
          ['next', { first: small, second: other }, { first: large, second: other }],
          ['other', { first: other, second: small }, { first: other, second: large }],
        ] as const) {
          const [before, after] = [low, high].map(({ first, second }) =>
            compile([
              { ...next, percent: first },
              { ...next, upstream: 'other', percent: second },
            ])(name),
          )
          expect(before === 'own' ? ['own', grown] : [before]).toContain(after)
        }
      }),
    )
  })

  it('who cannot be told apart stays with the route’s own upstream', () => {
    const ask = compile([{ ...next, percent: 100 }])
    expect([ask(), ask(''), ask('ann')]).toEqual(['own', 'own', 'next'])
    const byHeader = compile([{ ...next, percent: 100, stickyOn: 'header:x-tenant' }])
    expect([byHeader('ann'), byHeader('ann', { 'x-tenant': 'acme' })]).toEqual(['own', 'next'])
    expect(compile([{ ...next, percent: 100, stickyOn: 'client.ip' }])()).toBe('next')
  })
})

describe('an override header', () => {
  const [none, all] = [0, 100].map((percent) => compile([{ ...next, percent }]))
  it.each([
    ['always', 'next', 'next'],
    ['next', 'next', 'next'],
    ['never', 'own', 'own'],
    ['users', 'own', 'own'],
    ['Always', 'own', 'next'],
    ['constructor', 'own', 'next'],
    ['next, never', 'own', 'next'],
    ['', 'own', 'next'],
  ])('of "%s" leads to %s for nobody’s share, to %s for everybody’s', (value, atNone, atAll) => {
    expect([none!('ann', { 'x-canary': value }), all!('ann', { 'x-canary': value })]).toEqual([atNone, atAll])
    expect(none!(undefined, { 'x-canary': value })).toBe(atNone)
  })

  it('that several entries share chooses by name, and refuses them all', () => {
    const entries = ['next', 'other', 'third'].map((upstream) => ({ ...next, upstream, percent: 33 }))
    const ask = compile(entries)
    const forced = ['next', 'other', 'third', 'always', 'never', 'users'].map((value) =>
      ask('a', { 'x-canary': value }),
    )
    expect(forced).toEqual(['next', 'other', 'third', 'next', 'own', 'own'])
  })

  it('of one entry does not speak for another', () => {
    const ask = compile([
      { ...next, percent: 50 },
      { ...next, upstream: 'other', percent: 50, overrideHeader: 'x-other' },
    ])
    expect(ask('ann', { 'x-other': 'always' })).toBe('other')
    expect(ask('ann', { 'x-canary': 'always', 'x-other': 'always' })).toBe('next')
    const byOther = Array.from({ length: 100 }, (_, i) => ask(`u${i}`, { 'x-canary': 'never' }))
    expect(new Set(byOther)).toEqual(new Set(['own', 'other']))
  })
})

describe('configuration', () => {
  const target = { targets: [{ url: originUrl }] }
  const auth = { main: { type: 'jwt', issuer: 'i', audience: 'a', algorithms: ['ES256'], jwksUri: 'https://id.test/' } }
  const base = { version: 1, authProviders: auth, upstreams: { users: target, next: target, 'users-next': target } }
  const plain = { upstream: 'next', percent: 5 }

  function diagnostics(entries: unknown, parts: object = { upstream: 'users' }, policies: object = {}) {
    const one = { id: 'a', match: { path: '/a' }, policies: { split: entries, ...policies }, ...parts }
    const loaded = loadConfig({ ...base, routes: [one] })
    return 'diagnostics' in loaded ? loaded.diagnostics.map(diagnosticText) : []
  }
  const [at, first] = ['routes[0].policies.split', 'routes[0].policies.split[0]']

  it.each<[what: string, entries: unknown, message: string]>([
    ['no entries', [], `${at}: expected at least one upstream to split to`],
    [
      'an unknown upstream',
      [{ ...plain, upstream: 'nxt' }],
      `${first}.upstream: no upstream "nxt"; did you mean "next"? (`,
    ],
    [
      'the route’s own upstream',
      [{ ...plain, upstream: 'users' }],
      `${first}.upstream: "users" is the route’s own upstream`,
    ],
    [
      'an upstream twice',
      [plain, plain],
      `${at}[1].upstream: another entry of this split has the upstream "next" already`,
    ],
    ['no percentage', [{ upstream: 'next' }], `${first}.percent: required: expected number`],
    ['a negative percentage', [{ ...plain, percent: -1 }], `${first}.percent: expected at least 0, found -1`],
    ['too much', [{ ...plain, percent: 101 }], `${first}.percent: expected at most 100, found 101`],
    [
      'too much together',
      [
        { ...plain, percent: 60 },
        { upstream: 'users-next', percent: 40.5 },
      ],
      `${at}: expected percentages of at most 100 together, found 100.5`,
    ],
    ['what does not stick', [{ ...plain, stickyOn: 'route' }], `${first}.stickyOn: expected "client.ip"`],
    [
      'identity without auth',
      [{ ...plain, stickyOn: 'jwt.sub' }],
      `${first}.stickyOn: jwt.sub needs the policy "auth"`,
    ],
    [
      'sticking to different things',
      [
        { ...plain, stickyOn: 'client.ip' },
        { upstream: 'users-next', percent: 1 },
      ],
      `${at}[1].stickyOn: expected the same in all entries of a split; the first has "client.ip"`,
    ],
    ['no header', [{ ...plain, overrideHeader: 'x canary' }], `${first}.overrideHeader: expected a header name`],
    ['an unknown key', [{ ...plain, weight: 5 }], `${first}.weight: unknown key`],
  ])('refuses %s', (_, entries, message) => {
    expect(diagnostics(entries)).toEqual([expect.stringContaining(message)])
  })

  it('is refused where nothing is sent on, unless the route only inherits it', () => {
    const message = `${at}: has no use beside "respond": no request is sent on`
    expect(diagnostics([plain], { respond: {} })).toEqual([message])
    const defaults = { policies: { split: [{ ...plain, stickyOn: 'jwt.sub' }] } }
    const routes = [{ id: 'a', match: { path: '/a' }, respond: { body: 'still here' } }]
    expect(loadConfig({ ...base, defaults, routes })).toHaveProperty('config')
  })

  it('takes shares of 100 together, and identity with auth', () => {
    const entries = [33.3, 33.3, 33.4].map((percent, i) => ({ percent, upstream: ['next', 'users-next', 'third'][i] }))
    const routes = [{ id: 'a', match: { path: '/a' }, upstream: 'users', policies: { split: entries } }]
    expect(loadConfig({ ...base, upstreams: { ...base.upstreams, third: target }, routes })).toHaveProperty('config')
    expect(diagnostics([next], { upstream: 'users' }, { auth: { providers: ['main'] } })).toEqual([])
  })
})

describe('in the gateway', () => {
  const upstreams = {
    users: { targets: [{ url: `${originUrl}/own` }] },
    next: { targets: [{ url: `${originUrl}/next` }] },
    slow: { targets: [{ url: originUrl }], timeout: '10s' },
  }
  const silent = { variable: (name: string) => (name === 'LOG_LEVEL' ? 'silent' : undefined) }
  const entry = { upstream: 'next', percent: 0, overrideHeader: 'x-canary' }

  it('the other upstream gets what the route’s own would have got', async () => {
    const policies = { split: [entry], rewrite: { path: '/v2/*' }, headers: { request: { set: { 'x-a': '1' } } } }
    const gateway = makeTestGateway(
      { upstreams, routes: [{ id: 'a', match: { path: '/*' }, upstream: 'users', policies }] },
      silent,
    )
    const ask = async (value: string) => {
      const response = await gateway.fetch('/b?c', { method: 'PUT', body: 'hello', headers: { 'x-canary': value } })
      return response.json<{ target: string; body: string; headers: string[] }>()
    }
    const [own, other] = [await ask('never'), await ask('always')]
    expect([own.target, other.target]).toEqual(['/own/v2/b?c', '/next/v2/b?c'])
    expect([other.body, other.headers.join('\n').toLowerCase()]).toEqual(['hello', expect.stringContaining('x-a\n1')])
    await gateway.settled()
  })

  it('the other upstream keeps its own settings, whatever the route says of its own', async () => {
    const upstream = { name: 'users', timeout: '40ms' }
    const routes = [{ id: 'a', match: { path: '/*' }, upstream, policies: { split: [{ ...entry, upstream: 'slow' }] } }]
    const users = { targets: [{ url: originUrl }] }
    const gateway = makeTestGateway({ upstreams: { ...upstreams, users }, routes }, silent)
    const statusOf = async (path: string, value: string) =>
      (await gateway.fetch(path, { headers: { 'x-canary': value } })).status
    expect([await statusOf('/delay/20000', 'never'), await statusOf('/delay/200', 'always')]).toEqual([504, 200])
    await gateway.settled()
  })

  it('a route that answers by itself and inherits a split goes on answering', async () => {
    const defaults = { policies: { split: [{ ...entry, percent: 100 }] } }
    const routes = [{ id: 'a', match: { path: '/*' }, respond: { body: 'mine' } }]
    const gateway = makeTestGateway({ upstreams, defaults, routes }, silent)
    expect(await (await gateway.fetch('/x', { headers: { 'x-canary': 'always' } })).text()).toBe('mine')
    await gateway.settled()
  })
})
