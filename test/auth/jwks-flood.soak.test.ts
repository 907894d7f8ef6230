import { describe, expect, it } from 'vitest'
import { encode } from './forgery.ts'
import { makeClockedPlatform, makeGate } from './gate.ts'
import { ISSUER, makeIssuer, makeKey, provider, sign } from './issuer.ts'

const key = await makeKey('k1')
const TOKENS = 10_000
const AT_ONCE = 1_000
const COOLDOWN = 30_000
const claims = encode({ iss: ISSUER, aud: 'api', exp: Math.floor(Date.now() / 1000) + 86_400 })
/** Nobody needs a key to make these. */
const unknown = (nth: number) => `${encode({ alg: 'ES256', kid: `unknown-${nth}` })}.${claims}.${'A'.repeat(86)}`

function setup() {
  const issuer = makeIssuer(key)
  const { platform, clock } = makeClockedPlatform({ main: provider() }, { fetch: issuer.fetch })
  const gate = makeGate(platform)
  /** Over one second of the gateway's clock; a test has one request's timers for them all, so not all at once. */
  const flood = async () => {
    const startedAt = clock.now
    const codes = new Set<string | undefined>()
    for (let sent = 0; sent < TOKENS; sent += AT_ONCE) {
      clock.now = startedAt + (sent * 1_000) / TOKENS
      const answers = Array.from({ length: AT_ONCE }, (_, nth) => gate(`Bearer ${unknown(sent + nth)}`))
      for (const { code } of await Promise.all(answers)) codes.add(code)
    }
    return codes
  }
  return { issuer, clock, gate, flood }
}

describe('10,000 tokens in a second, each with another unknown key id', () => {
  it('cause one fetch per cooldown at most, and no good token waits for it', async () => {
    const { issuer, clock, gate, flood } = setup()
    const token = await sign(key, { exp: Math.floor(Date.now() / 1000) + 86_400 })
    expect((await gate(`Bearer ${token}`)).status).toBe(200)
    expect(await flood()).toEqual(new Set(['token-key-unknown']))
    expect(issuer.calls).toHaveLength(1)

    clock.now += COOLDOWN
    issuer.answer = async () => {
      // Remembered or not: its key is there.
      expect((await gate(`Bearer ${token}`)).status).toBe(200)
      expect((await gate(`Bearer ${await sign(key, { jti: 'new' })}`)).status).toBe(200)
      return Response.json({ keys: issuer.keys })
    }
    expect(await flood()).toEqual(new Set(['token-key-unknown']))
    expect(issuer.calls).toHaveLength(2)
  }, 30_000)

  it('cause one fetch in 2 s while the issuer is down, and are never called unknown', async () => {
    const { issuer, clock, flood } = setup()
    issuer.answer = () => new Response('', { status: 500 })
    expect(await flood()).toEqual(new Set(['keys-unavailable']))
    expect(issuer.calls).toHaveLength(1)
    clock.now += 2_000
    expect(await flood()).toEqual(new Set(['keys-unavailable']))
    expect(issuer.calls).toHaveLength(2)
  }, 30_000)
})

it.each([
  ['small', () => ({})],
  ['large', () => key.jwk],
])('a set of 10,000 %s keys is none', async (_, make) => {
  const { issuer, gate } = setup()
  issuer.keys = [key.jwk, ...Array.from({ length: TOKENS }, make)]
  expect((await gate(`Bearer ${await sign(key)}`)).code).toBe('keys-unavailable')
})
