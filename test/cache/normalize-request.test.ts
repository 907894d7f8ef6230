import { expect, it } from 'vitest'
import { cacheConfig } from '../../src/cache/config.ts'
import { compileNormalizeRequest } from '../../src/cache/normalize-request.ts'
import type { Identity } from '../../src/core/exchange.ts'
import type { RouteFacts } from '../../src/core/policy.ts'
import { makeTestExchange } from '../support/exchange.ts'

const facts = {
  querySet: [],
  headersSet: [],
  authProviders: { keys: { type: 'apiKey' }, users: { type: 'jwt' } },
} as unknown as Pick<RouteFacts, 'querySet' | 'headersSet' | 'authProviders'>

const narrowed = (provider: string | undefined, headers: Record<string, string>) => {
  const identity = provider === undefined ? undefined : ({ provider, issuer: 'i', subject: 's' } as Identity)
  const x = makeTestExchange(new Request('http://gw.test/a', { headers }), { identity })
  const config = cacheConfig.parse({ key: { identity: 'sub' } })
  return { ...compileNormalizeRequest(config, facts)(x, []), told: x.outgoing.headers }
}

it.each([
  ['users', []],
  // Two must vouch, and the first says who is calling; or the other one's token is broken, and the key is enough.
  ['keys', ['authorization']],
  [undefined, ['authorization']],
] as const)('a bearer token is covered by the key only if it told who is calling: %s', (provider, unkeyed) => {
  expect(narrowed(provider, { authorization: 'Bearer x' }).unkeyed).toEqual(unkeyed)
})

it('a signature, of which nobody may have read all, does not reach the origin', () => {
  const signed = { signature: 'a=:mark:', 'signature-input': 'a=()', 'content-digest': 'mark' }
  const { told, unkeyed } = narrowed('users', signed)
  expect([told, unkeyed]).toEqual([{}, []])
})
