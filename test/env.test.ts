import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import type { Config } from '../src/config/routes-file.ts'
import { makePlatform } from '../src/env.ts'

const routesWith = (...builtins: ('health' | 'admin')[]) =>
  builtins.map((builtin) => ({ builtin })) as unknown as Config['routes']

it('is steered where a route is for operators', () => {
  const steered = (routes: Config['routes']) => makePlatform(env, { authProviders: {}, routes }).hasAdmin
  expect([steered(routesWith()), steered(routesWith('health')), steered(routesWith('health', 'admin'))]).toEqual([
    false,
    false,
    true,
  ])
})

it('reads where a request came in, which is not known here', () => {
  const { region } = makePlatform(env, { authProviders: {}, routes: [] })
  expect(region(new Request('https://gw.test/'))).toBe('local')
  expect(region(new Request('https://gw.test/', { cf: { continent: 'SA' } as RequestInitCfProperties }))).toBe('sam')
})
