import { exportJWK, generateKeyPair } from 'jose'
import { describe, expect, it } from 'vitest'
import { makeGate, setupIssuer } from '../gate.ts'
import { ISSUER, JWKS_URL, makeKey, sign, type TestKey } from '../issuer.ts'

const [first, second] = [await makeKey('k1'), await makeKey('k2')]
const MINUTE = 60_000
const shared = await generateKeyPair('RS256', { modulusLength: 2048, extractable: true })
const rsa = { alg: 'RS256', privateKey: shared.privateKey }
const rsaJwk = await exportJWK(shared.publicKey)
/** Long enough for hours on a moved clock. */
const LONG = { exp: Math.floor(Date.now() / 1000) + 86_400 }

const setup = (keys: TestKey[] = [first], fields: Record<string, unknown> = {}) => setupIssuer(keys, fields)

const down = () => new Response('', { status: 503 })

describe('the keys of an issuer', () => {
  it('are fetched once, when first needed, for all requests and routes', async () => {
    const { platform, codeOf, calls } = setup()
    expect(calls()).toBe(0)
    const tokens = await Promise.all(Array.from({ length: 50 }, (_, i) => sign(first, { jti: `${i}` })))
    expect(new Set(await Promise.all(tokens.map(codeOf)))).toEqual(new Set([undefined]))
    expect((await makeGate(platform, { scopes: ['a'] })(`Bearer ${tokens[0]}`)).code).toBe('scope-missing')
    expect(calls()).toBe(1)
  })

  it('are fetched again after jwksMaxAge, in the background, while the old ones serve', async () => {
    const { issuer, clock, codeOf, calls } = setup()
    const token = await sign(first, LONG)
    await codeOf(token)
    clock.now += 10 * MINUTE
    await codeOf(token)
    expect(calls()).toBe(1)
    clock.now += 1
    let answered = false
    issuer.answer = () => {
      expect(answered).toBe(false)
      answered = true
      return Response.json({ keys: issuer.keys })
    }
    expect(await Promise.all([codeOf(token), codeOf(token), codeOf(await sign(first))])).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect(calls()).toBe(2)
  })

  it('may be rotated: a new id is fetched at once when the cooldown has passed', async () => {
    const { issuer, clock, codeOf, calls } = setup()
    await codeOf(await sign(first))
    issuer.keys = [first.jwk, second.jwk]
    expect(await codeOf(await sign(second))).toBe('token-key-unknown')
    clock.now += 30_000
    // The second one finds the fetch on its way, and waits for what it brings.
    const tokens = await Promise.all([sign(second, { jti: 'a' }), sign(second, { jti: 'b' })])
    expect(await Promise.all(tokens.map(codeOf))).toEqual([undefined, undefined])
    expect(calls()).toBe(2)
  })

  it('are fetched at most once per cooldown however many tokens name unknown keys', async () => {
    const { clock, codeOf, calls } = setup()
    await codeOf(await sign(first))
    for (let cooldown = 1; cooldown <= 3; cooldown++) {
      clock.now += 30_000
      const flood = Array.from({ length: 100 }, (_, i) => sign(first, {}, { kid: `unknown-${cooldown}-${i}` }))
      const codes = await Promise.all((await Promise.all(flood)).map(codeOf))
      expect(new Set(codes)).toEqual(new Set(['token-key-unknown']))
      expect(calls()).toBe(1 + cooldown)
      clock.now += 29_999
      expect(await codeOf(await sign(second))).toBe('token-key-unknown')
      expect(calls()).toBe(1 + cooldown)
    }
  })

  it('are fetched again although the clock was set back', async () => {
    const { issuer, clock, codeOf, calls } = setup()
    await codeOf(await sign(first))
    clock.now -= 60 * MINUTE
    issuer.keys = [second.jwk]
    expect(await codeOf(await sign(second))).toBeUndefined()
    expect(calls()).toBe(2)
    clock.now -= 10 * MINUTE + 1
    issuer.keys = [first.jwk]
    await codeOf(await sign(second, { jti: 'in the background' }))
    expect(await codeOf(await sign(first, { jti: 'new' }))).toBeUndefined()
    expect(calls()).toBe(3)
  })

  it('that leave the set take the tokens they verified with them', async () => {
    const { issuer, clock, codeOf } = setup([first, second])
    const [a, b] = [await sign(first, LONG), await sign(second, LONG)]
    expect([await codeOf(a), await codeOf(b)]).toEqual([undefined, undefined])
    issuer.keys = [second.jwk]
    clock.now += 10 * MINUTE + 1
    await codeOf(b)
    expect([await codeOf(a), await codeOf(b)]).toEqual(['token-key-unknown', undefined])
  })

  it('that change under the same id do too', async () => {
    const { issuer, clock, codeOf } = setup()
    const token = await sign(first, LONG)
    await codeOf(token)
    issuer.keys = [{ ...second.jwk, kid: 'k1' }]
    clock.now += 10 * MINUTE + 1
    await codeOf(token)
    expect(await codeOf(token)).toBe('token-signature')
  })
})

describe('an issuer that is down', () => {
  it('is outlived by its last good keys up to jwksMaxStale; then 503, for remembered tokens too, until it is back', async () => {
    const { issuer, clock, gate, codeOf, calls } = setup()
    const start = clock.now
    const token = await sign(first, LONG)
    await codeOf(token)
    issuer.answer = down
    for (let minutes = 1; minutes <= 60; minutes++) {
      clock.now = start + minutes * MINUTE
      expect(await codeOf(token)).toBeUndefined()
      expect(await codeOf(await sign(first, { ...LONG, jti: `${minutes}` }))).toBeUndefined()
    }
    expect(calls()).toBe(1 + 50)
    clock.now = start + 60 * MINUTE + 1
    const { code, status, response } = await gate(`Bearer ${token}`)
    expect({ code, status }).toEqual({ code: 'keys-unavailable', status: 503 })
    expect(response.headers.get('retry-after')).toBe('2')
    expect(response.headers.has('www-authenticate')).toBe(false)
    issuer.answer = () => Response.json({ keys: issuer.keys })
    clock.now += 30_000
    expect(await codeOf(token)).toBeUndefined()
  })

  it('makes a key that it may have added meanwhile unavailable, not unknown', async () => {
    const { issuer, clock, codeOf } = setup()
    await codeOf(await sign(first))
    issuer.answer = down
    clock.now += 30_000
    expect(await codeOf(await sign(second))).toBe('keys-unavailable')
    expect(await codeOf(await sign(first))).toBeUndefined()
  })

  it('from the start is asked again every 2 s, by one of all who wait', async () => {
    const { issuer, clock, codeOf, calls } = setup()
    issuer.answer = down
    const token = await sign(first)
    const codes = await Promise.all(Array.from({ length: 20 }, () => codeOf(token)))
    expect(new Set(codes)).toEqual(new Set(['keys-unavailable']))
    expect(calls()).toBe(1)
    issuer.answer = () => Response.json({ keys: issuer.keys })
    clock.now += 1_999
    expect(await codeOf(token)).toBe('keys-unavailable')
    clock.now += 1
    expect(await codeOf(token)).toBeUndefined()
    expect(calls()).toBe(2)
  })

  const big = { keys: [first.jwk], padding: 'x'.repeat(64 * 1024) }
  it.each<[string, () => Response | Promise<Response>]>([
    ['redirects', () => Response.redirect('https://evil.test/jwks.json')],
    ['sends more than 64 KiB', () => Response.json(big)],
    ['sends more than 100 keys', () => Response.json({ keys: Array.from({ length: 101 }, () => first.jwk) })],
    ['sends no JSON', () => new Response('<html>')],
    ['sends null', () => Response.json(null)],
    ['sends keys that are no list', () => Response.json({ keys: { 0: first.jwk } })],
    ['sends nothing', () => new Response(null)],
    ['answers 404', () => Response.json({ keys: [first.jwk] }, { status: 404 })],
    ['breaks off', () => Promise.reject(new Error('Network connection lost.'))],
  ])('is an issuer that %s', async (_, answer) => {
    const { issuer, codeOf } = setup()
    issuer.answer = answer
    expect(await codeOf(await sign(first))).toBe('keys-unavailable')
    expect(issuer.calls).toEqual([JWKS_URL])
  })
})

describe('a published key', () => {
  it.each<[string, unknown[], string | undefined]>([
    ['that fits is taken', [{ ...rsaJwk, kid: 'r' }], undefined],
    ['among odd ones is taken', [null, 'x', {}, { kty: 'RSA', n: 'A', e: '!' }, { ...rsaJwk, kid: 'r' }], undefined],
    ['for encryption is refused', [{ ...rsaJwk, kid: 'r', use: 'enc' }], 'token-key-unknown'],
    ['with a small exponent is refused', [{ ...rsaJwk, kid: 'r', e: 'Aw' }], 'token-key-unknown'],
    ['with a list for an id is refused', [{ ...rsaJwk, kid: ['r'] }], 'token-key-unknown'],
    ['for the first algorithm only', [{ ...rsaJwk, kid: 'r', alg: 'PS256' }], 'token-key-unknown'],
  ])('%s', async (_, keys, code) => {
    const { issuer, codeOf } = setup([], { algorithms: ['RS256', 'PS256'] })
    issuer.keys = keys
    expect(await codeOf(await sign(rsa, {}, { kid: 'r' }))).toBe(code)
  })

  it('whose point is not on its curve is refused (RFC 8725 §3.4)', async () => {
    const { issuer, codeOf } = setup()
    issuer.keys = [{ ...first.jwk, y: first.jwk.x }]
    expect(await codeOf(await sign(first))).toBe('token-key-unknown')
  })

  it('that names no algorithm serves the first that the provider names (RFC 8725 §3.1)', async () => {
    const { issuer, codeOf } = setup([], { algorithms: ['PS256', 'RS256'] })
    issuer.keys = [{ ...rsaJwk, kid: 'r' }]
    expect(await codeOf(await sign(rsa, {}, { kid: 'r' }))).toBe('token-key-unknown')
  })

  it.each(['ES384', 'ES512', 'PS384', 'EdDSA'])('verifies %s', async (alg) => {
    const key = await makeKey('x', alg)
    const { codeOf } = setup([key], { algorithms: [alg] })
    expect(await codeOf(await sign(key, { iss: ISSUER }))).toBeUndefined()
  })
})
