import { env } from 'cloudflare:workers'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Platform } from '../../../src/core/platform.ts'
import { makeIdentityClient } from '../../../src/identity/client.ts'
import type { Actor, RevocationTarget } from '../../../src/identity/types.ts'
import { makeClockedPlatform, makeGate } from '../gate.ts'
import { ISSUER, makeIssuer, makeKey, provider, sign } from '../issuer.ts'

const key = await makeKey('k1')
const store = makeIdentityClient(env.IDENTITY)
const operator: Actor = { provider: 'p', issuer: 'i', subject: 's', client: '192.0.2.1', request: 'r' }
let nth = 0

async function revoke(target: RevocationTarget): Promise<void> {
  expect(await store.revoke(target, Date.now() + 600_000, operator)).toBe('revoked')
}

/** One isolate: its own copy of what the one store says, and its own clock. */
function isolate(parts: Partial<Platform> = {}, fields: Record<string, unknown> = {}) {
  const issuer = makeIssuer(key)
  const { platform, clock } = makeClockedPlatform(
    { main: provider({ jwksMaxAge: '1d', ...fields }) },
    { fetch: issuer.fetch, hasAdmin: true, ...parts },
  )
  const gate = makeGate(platform)
  return { clock, gate, codeOf: async (token: string) => (await gate(`Bearer ${token}`)).code }
}

/** A store that can be taken down, and that counts its questions. */
function unreliable() {
  const state = { asked: 0, down: false }
  const identity = {
    getByName: (name: string) => ({
      execute: (call: string, args: readonly unknown[]) => {
        state.asked++
        if (state.down) return Promise.reject(new Error('Network connection lost.'))
        const stub = env.IDENTITY.getByName(name) as unknown as {
          execute: (call: string, args: unknown) => Promise<unknown>
        }
        return stub.execute(call, args)
      },
    }),
  } as unknown as Platform['identityStore']
  return { state, identity }
}

describe('a revoked token', () => {
  let token: string
  let target: { jti: string }
  beforeEach(async () => {
    target = { jti: `t${++nth}` }
    token = await sign(key, target)
  })

  it('is refused in every isolate within 5 s, although they remember it', async () => {
    const [busy, idle] = [isolate(), isolate()]
    expect([await busy.codeOf(token), await idle.codeOf(token)]).toEqual([undefined, undefined])
    await revoke(target)
    busy.clock.now += 2_000
    // Its background refresh, which the gate waits for, has told it by the next request.
    await busy.codeOf(token)
    const { code, status, response } = await busy.gate(`Bearer ${token}`)
    expect({ code, status }).toEqual({ code: 'token-revoked', status: 401 })
    expect(response.headers.get('www-authenticate')).toContain('error="invalid_token"')
    idle.clock.now += 600_000
    expect(await idle.codeOf(await sign(key, target))).toBe('token-revoked')
    idle.clock.now -= 600_000
    expect(await idle.codeOf(token)).toBe('token-revoked')
    expect(await isolate().codeOf(token)).toBe('token-revoked')
  })

  it('takes no other with it; a subject takes what was issued so far', async () => {
    const mine = { sub: `u${nth}`, iat: Math.floor(Date.now() / 1000) - 31 }
    const old = await sign(key, { ...mine })
    await revoke({ issuer: ISSUER, subject: mine.sub })
    const { codeOf } = isolate()
    expect(await codeOf(old)).toBe('token-revoked')
    expect(await codeOf(await sign(key, { ...mine, iat: mine.iat + 100 }))).toBeUndefined()
    expect(await codeOf(await sign(key, { ...mine, sub: `${mine.sub}x` }))).toBeUndefined()
  })

  it('is not asked about where nobody can revoke', async () => {
    const { state, identity } = unreliable()
    await revoke(target)
    expect(await isolate({ hasAdmin: false, identityStore: identity }).codeOf(token)).toBeUndefined()
    expect(state.asked).toBe(0)
    for (const path of ['token', 'revoke'] as const)
      expect(await isolate({ hasAdmin: false, oauthPaths: { [path]: '/x' } }).codeOf(token)).toBe('token-revoked')
  })

  it('costs no question while what is known is fresh, nor does a good one', async () => {
    const { state, identity } = unreliable()
    const { codeOf, clock } = isolate({ identityStore: identity })
    await codeOf(token)
    const asked = state.asked
    clock.now += 1_999
    for (let uses = 0; uses < 100; uses++) expect(await codeOf(token)).toBeUndefined()
    expect(state.asked).toBe(asked)
  })
})

describe('a store that is down', () => {
  it('closes the route after 5 s with 503, until it is back', async () => {
    const { state, identity } = unreliable()
    const { codeOf, gate, clock } = isolate({ identityStore: identity })
    const token = await sign(key)
    expect(await codeOf(token)).toBeUndefined()
    state.down = true
    clock.now += 4_999
    expect(await codeOf(token)).toBeUndefined()
    clock.now += 1
    const { code, status, response } = await gate(`Bearer ${token}`)
    expect({ code, status }).toEqual({ code: 'revocation-unavailable', status: 503 })
    expect(response.headers.get('retry-after')).toBe('2')
    state.down = false
    clock.now += 2_000
    expect(await codeOf(token)).toBeUndefined()
  })

  it('lets others in where the provider says so, but nobody who is known to be revoked', async () => {
    const { state, identity } = unreliable()
    const { codeOf, clock } = isolate({ identityStore: identity }, { onRevocationStoreError: 'allow' })
    const revoked = { jti: `t${++nth}` }
    await revoke(revoked)
    expect(await codeOf(await sign(key, revoked))).toBe('token-revoked')
    state.down = true
    clock.now += 60_000
    expect(await codeOf(await sign(key))).toBeUndefined()
    expect(await codeOf(await sign(key, revoked))).toBe('token-revoked')
    expect(
      await isolate({ identityStore: identity }, { onRevocationStoreError: 'allow' }).codeOf(await sign(key)),
    ).toBeUndefined()
  })

  it('says nothing of tokens that are wrong anyway', async () => {
    const { state, identity } = unreliable()
    state.down = true
    expect(await isolate({ identityStore: identity }).codeOf(await sign(key, { exp: 1 }))).toBe('token-expired')
    expect(state.asked).toBe(0)
  })
})

it('where all providers must agree, a revocation of any of them counts', async () => {
  const issuer = makeIssuer(key)
  const { platform } = makeClockedPlatform(
    { main: provider(), second: provider({ audience: ['other', 'api'] }) },
    { fetch: issuer.fetch, hasAdmin: true },
  )
  const both = makeGate(platform, { require: 'all' })
  const target = { jti: `t${++nth}` }
  const token = await sign(key, target)
  expect((await both(`Bearer ${token}`)).code).toBeUndefined()
  await revoke(target)
  expect((await makeGate({ ...platform }, { require: 'all' })(`Bearer ${token}`)).code).toBe('token-revoked')
})
