import { beforeAll, describe, expect, it } from 'vitest'
import { makeTestPlatform } from '../support/platform.ts'
import { ATTACKS } from './attacks.ts'
import { confused, HEADER, onCurve, onEdwards, PUBLISHED, raw, SECRET } from './forgery.ts'
import { makeGate } from './gate.ts'
import { makeIssuer, provider } from './issuer.ts'
import { mutate, seeded } from './mutation.ts'

const issuer = makeIssuer()
issuer.keys = [...PUBLISHED]
// So that a fetch is one that a token has caused.
const patient = { jwksCooldown: '1h', jwksMaxAge: '1h' }
const platform = makeTestPlatform({
  authProviders: {
    main: provider({ algorithms: ['RS256'], ...patient }),
    curve: provider({ issuer: 'curve', ...patient }),
    edwards: provider({ issuer: 'edwards', algorithms: ['EdDSA'], ...patient }),
    legacy: provider({ issuer: 'old', algorithms: ['HS256'], jwksUri: undefined, secret: { $secret: 'OLD' } }),
  },
  secret: () => SECRET,
  fetch: issuer.fetch,
})
const gate = makeGate(platform, { scopes: ['users:read'], claims: { tenant: 'acme' } })
const GOOD = await Promise.all([raw(HEADER), onCurve(), onEdwards(), confused(SECRET, {}, 'old')])
const MUTATED = 10_000

describe('forged and odd tokens', () => {
  beforeAll(async () => {
    for (const token of GOOD) expect((await gate(`Bearer ${token}`)).code).toBeUndefined()
    expect(issuer.calls).toHaveLength(3)
  })

  it('are at least 150, no two alike', () => {
    expect(ATTACKS.length).toBeGreaterThanOrEqual(150)
    expect(new Set(ATTACKS.map(([name]) => name)).size).toBe(ATTACKS.length)
  })

  it.each(ATTACKS)('%s → %s', async (_, code, make) => {
    const { response, x, code: found } = await gate(`Bearer ${await make()}`)
    expect(found).toBe(code)
    expect([400, 401, 403]).toContain(response.status)
    expect(x.identity).toBeUndefined()
    expect(Object.keys(x.outgoing.headers).filter((name) => name.startsWith('x-auth-'))).toEqual([])
    // Those of the good tokens before.
    expect(issuer.calls).toHaveLength(3)
  })

  it(`that are good ones changed at random, ${MUTATED} of them: none is let in`, async () => {
    const seed = Date.now()
    const random = seeded(seed)
    const codes = new Map<string | undefined, number>()
    for (let nth = 0; nth < MUTATED; nth++) {
      const token = mutate(GOOD, random)
      if (token === undefined) continue
      const { code, status, x } = await gate(`Bearer ${token}`)
      codes.set(code, (codes.get(code) ?? 0) + 1)
      if (![400, 401].includes(status) || x.identity !== undefined)
        expect.fail(`seed ${seed}, token ${nth}: ${status} for ${token}`)
    }
    expect(issuer.calls).toHaveLength(3)
    // They come past the parser and reach the keys and the signature too.
    for (const code of [
      'bearer-malformed',
      'token-malformed',
      'token-algorithm',
      'token-key-unknown',
      'token-signature',
      'token-issuer',
    ])
      expect(codes.get(code) ?? 0, code).toBeGreaterThan(0)
  }, 60_000)
})
