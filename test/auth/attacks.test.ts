import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { makeTestSite } from '../support/site.ts'
import { ATTACKS, confused, HEADER, jwk, raw, SECRET } from './attacks.ts'
import { makeGate } from './gate.ts'
import { makeIssuer, provider } from './issuer.ts'

const issuer = makeIssuer()
issuer.keys = [jwk]
const site = makeTestSite({
  authProviders: {
    main: provider({ algorithms: ['RS256'] }),
    legacy: provider({ issuer: 'old', algorithms: ['HS256'], jwksUri: undefined, secret: { $secret: 'OLD' } }),
  },
  secret: () => SECRET,
  fetch: issuer.fetch,
})
const gate = makeGate(site, { scopes: ['users:read'], claims: { tenant: 'acme' } })

describe('forged and odd tokens', () => {
  beforeAll(async () => {
    expect((await gate(`Bearer ${await raw(HEADER)}`)).status).toBe(200)
    expect((await gate(`Bearer ${await confused(SECRET, {}, 'old')}`)).status).toBe(200)
  })

  it.each(ATTACKS)('%s → %s', async (_, code, make) => {
    const { response, x, code: found } = await gate(`Bearer ${await make()}`)
    expect(found).toBe(code)
    expect([401, 403]).toContain(response.status)
    expect(x.identity).toBeUndefined()
    expect(Object.keys(x.outgoing.headers).filter((name) => name.startsWith('x-auth-'))).toEqual([])
    // The one fetch is that of the good token before.
    expect(issuer.calls).toHaveLength(1)
  })

  it('a changed character anywhere is refused', async () => {
    const token = await raw(HEADER)
    const character = fc.constantFrom(
      ...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ,"'.split(''),
    )
    const change = fc.tuple(fc.nat(token.length), fc.constantFrom('replace', 'insert', 'delete', 'swap'), character)
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        const mutated = changes.reduce(mutate, token)
        fc.pre(mutated.trim() !== token)
        const { status, x } = await gate(`Bearer ${mutated}`)
        expect(status).toBe(401)
        expect(x.identity).toBeUndefined()
      }),
      { numRuns: 400 },
    )
    expect(issuer.calls).toHaveLength(1)
  })
})

function mutate(text: string, [at, how, character]: [number, string, string]): string {
  const [before, after] = [text.slice(0, at), text.slice(at)]
  if (how === 'insert') return before + character + after
  if (how === 'delete') return before + after.slice(1)
  if (how === 'swap') return before + after.charAt(1) + after.charAt(0) + after.slice(2)
  return before + character + after.slice(1)
}
