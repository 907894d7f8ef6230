import { expect, it } from 'vitest'
import type { RouteFacts } from '../../src/core/policy.ts'
import { rateLimit } from '../../src/policies/rate-limit.ts'
import { makeIdentity, makeLimited, makePatientPlatform, type RawLimiter } from '../support/limits.ts'
import { makeTestFacts, makeTestPlatform } from '../support/platform.ts'

const NOW = 1_700_000_050_000 - (1_700_000_050_000 % 60_000) + 10_000
const tiers: RawLimiter = {
  name: 'tiers',
  algorithm: 'fixed-window',
  limit: 2,
  window: '60s',
  key: ['jwt.sub'],
  consistency: 'local',
  overrides: [
    { when: { 'jwt.plan': 'gold', 'jwt.trial': false }, limit: 5 },
    { when: { 'apiKey.tier': 'gold' }, limit: 4 },
    { when: { 'jwt.org.level': 3 }, limit: 3 },
  ],
}
const keys = { type: 'apiKey', header: 'x-api-key', cacheTtl: 1_000, discloseRequirements: true } as const

const diagnostics = (parts: object, facts: Partial<RouteFacts> = {}) => {
  const route = makeTestFacts({ hasAuth: true, authProviders: { keys } as never, ...facts })
  const parsed = rateLimit.config.safeParse([{ ...tiers, ...parts }])
  const found = parsed.success ? rateLimit.check!(parsed.data, route) : parsed.error.issues
  return found.map(({ path, message }) => `${path.join('.')}: ${message}`)
}

it.each([
  [{ when: {}, limit: 1 }, '0.overrides.0.when: expected at least one claim'],
  [{ when: { plan: 'gold' }, limit: 1 }, '0.overrides.0.when.plan: '],
  [{ when: { 'jwt.a..b': 'gold' }, limit: 1 }, '0.overrides.0.when.jwt.a..b: '],
  [{ when: { 'jwt.plan': ['gold'] }, limit: 1 }, '0.overrides.0.when.jwt.plan: expected a text of 1 to 128 characters'],
  [{ when: { 'jwt.plan': '' }, limit: 1 }, '0.overrides.0.when.jwt.plan: '],
  [{ when: { 'jwt.sub': 'alice' }, limit: 1 }, '0.overrides.0.when: a subject means something only beside its issuer'],
  [{ when: { 'jwt.plan': 'gold' }, limit: 0 }, '0.overrides.0.limit: '],
  [{ when: { 'jwt.plan': 'gold' }, limit: 1, burst: 2 }, '0.overrides.0.burst: has no use with the algorithm'],
])('refuses %j', (override, message) => {
  expect(diagnostics({ overrides: [override] })).toEqual([expect.stringContaining(message)])
})

it('refuses an override that none of the callers would reach, and one for callers that nobody knows', () => {
  const gold = { when: { 'jwt.plan': 'gold' }, limit: 5 }
  const trial = { when: { 'jwt.trial': true, 'jwt.plan': 'gold' }, limit: 3 }
  expect(diagnostics({ overrides: [gold, trial] })).toEqual([
    '0.overrides.1.when: never comes to bear: overrides[0] holds for all of these',
  ])
  expect(diagnostics({ overrides: [trial, gold] })).toEqual([])
  expect(diagnostics({ key: ['client.ip'] }, { hasAuth: false })).toContain(
    '0.overrides.0.when.jwt.plan: jwt.plan needs the policy "auth" on this route',
  )
  expect(diagnostics({ overrides: [{ when: { 'apiKey.tier': 'gold' }, limit: 4 }] }, { authProviders: {} })).toEqual([
    '0.overrides.0.when.apiKey.tier: apiKey.tier needs an auth provider of type "apiKey"',
  ])
})

it('gives each caller the limit of the first entry that holds, and says so', async () => {
  const ask = makeLimited([tiers], makeTestPlatform({ now: () => NOW }))
  const quotaOf = async (parts: Parameters<typeof makeIdentity>[0]) =>
    (await ask({}, makeIdentity(parts))).headers.get('ratelimit-policy')
  expect(await quotaOf({ claims: { plan: 'gold', trial: false }, tier: 'gold' })).toBe('"tiers";q=5;w=60')
  expect(await quotaOf({ claims: { plan: 'gold', trial: true } })).toBe('"tiers";q=2;w=60')
  expect(await quotaOf({ claims: { plan: 'gold' }, tier: 'gold' })).toBe('"tiers";q=4;w=60')
  expect(await quotaOf({ claims: { org: { level: 3 } } })).toBe('"tiers";q=3;w=60')
  expect(await quotaOf({ claims: { plan: ['gold'], trial: false } })).toBe('"tiers";q=2;w=60')
  expect(await quotaOf({ claims: {} })).toBe('"tiers";q=2;w=60')
})

it.each([
  ['the isolate', 'local'],
  ['a store', 'strict'],
  ['leases', 'leased'],
] as const)('counts each for itself, also of one caller whose tier has changed, in %s', async (_, consistency) => {
  const name = crypto.randomUUID()
  const ask = makeLimited([{ ...tiers, name, window: '31d', consistency }], makePatientPlatform())
  const [none, gold] = [makeIdentity({}), makeIdentity({ tier: 'gold' })]
  const statuses = []
  for (const caller of [none, none, none, gold, gold, gold, gold, gold, none])
    statuses.push((await ask({}, caller)).status)
  expect(statuses).toEqual([200, 200, 429, 200, 200, 200, 200, 429, 429])
})

it('gives a bucket the burst of its override, or as much as its limit', async () => {
  const bucket: RawLimiter = {
    ...tiers,
    algorithm: 'token-bucket',
    burst: 9,
    overrides: [
      { when: { 'jwt.plan': 'gold' }, limit: 5, burst: 7 },
      { when: { 'jwt.plan': 'silver' }, limit: 3 },
    ],
  }
  const ask = makeLimited([bucket], makeTestPlatform({ now: () => NOW }))
  const quotaOf = async (plan: string) =>
    (await ask({}, makeIdentity({ claims: { plan } }))).headers.get('ratelimit-policy')
  expect(await Promise.all(['gold', 'silver', 'none'].map(quotaOf))).toEqual([
    '"tiers";q=5;w=60;burst=7',
    '"tiers";q=3;w=60;burst=3',
    '"tiers";q=2;w=60;burst=9',
  ])
})
