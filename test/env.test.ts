import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import type { Config } from '../src/config/routes-file.ts'
import { makePlatform } from '../src/env.ts'

const auditRetention = { maxAge: 86_400_000, maxRows: 1_000 }
const routesWith = (...builtins: ('health' | 'admin')[]) =>
  builtins.map((builtin) => ({ builtin })) as unknown as Config['routes']

it('is steered where a route is for operators', () => {
  const steered = (routes: Config['routes']) =>
    makePlatform(env, { auditRetention, authProviders: {}, routes }).hasAdmin
  expect([steered(routesWith()), steered(routesWith('health')), steered(routesWith('health', 'admin'))]).toEqual([
    false,
    false,
    true,
  ])
})

it('keeps the audit log for as long as the routes file says', () => {
  expect(makePlatform(env, { auditRetention, authProviders: {}, routes: [] }).auditRetention).toEqual({
    maxAgeMs: 86_400_000,
    maxRows: 1_000,
  })
})

it('reads where a request came in, which is not known here', () => {
  const { region } = makePlatform(env, { auditRetention, authProviders: {}, routes: [] })
  expect(region(new Request('https://gw.test/'))).toBe('local')
  expect(region(new Request('https://gw.test/', { cf: { continent: 'SA' } as RequestInitCfProperties }))).toBe('sam')
})
