import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { authProvider } from '../../src/auth/config/auth-provider.ts'
import type { Platform } from '../../src/core/platform.ts'
import { makeIdentityClient } from '../../src/identity/client.ts'
import type { Actor, NewApiKey } from '../../src/identity/types.ts'
import { makeTestPlatform } from '../support/platform.ts'
import { makeGate } from './gate.ts'

const BY: Actor = { provider: 'test', issuer: 'test', subject: 'ada', client: '192.0.2.1', request: 'r' }
const store = makeIdentityClient(env.IDENTITY)
const wellFormed = (rest: string) => `umb_${rest.padStart(43, '0')}`

async function makeKey(fields: Partial<NewApiKey> = {}) {
  const made = await store.createApiKey({ owner: 'acme', ...fields }, BY)
  if (typeof made === 'string') throw new Error(made)
  return made
}

/** A route for API keys, whose clock can be moved and whose questions to the store are counted; `isDown` cuts it off. */
function setup(config: Record<string, unknown> = {}, rules: Record<string, unknown> = {}) {
  const watch = { now: Date.now(), calls: 0, isDown: false }
  const identity = {
    getByName(name: string) {
      watch.calls++
      if (watch.isDown) throw new Error('unreachable')
      return env.IDENTITY.getByName(name)
    },
  } as Platform['identityStore']
  const keys = authProvider.parse({ type: 'apiKey', ...config })
  const gate = makeGate(
    makeTestPlatform({ authProviders: { keys }, identityStore: identity, now: () => watch.now }),
    rules,
  )
  const send = (key: string | string[], header = 'x-api-key') =>
    gate(undefined, { headers: [key].flat().map((each): [string, string] => [header, each]) })
  return { watch, gate, send }
}

describe('API keys', () => {
  it('say who is calling, with what rights, and stay with the gateway', async () => {
    const { key, apiKey } = await makeKey({ scopes: ['read'], roles: ['partner'], tier: 'gold' })
    const { send } = setup({}, { scopes: ['read'], roles: ['partner'] })
    const { status, x } = await send(key)
    expect(status).toBe(200)
    expect(x.identity).toMatchObject({
      provider: 'keys',
      issuer: 'urn:umbral:api-keys',
      subject: 'acme',
      scopes: ['read'],
      roles: ['partner'],
      keyId: apiKey.id,
      tier: 'gold',
    })
    expect(x.outgoing.headers).not.toHaveProperty('x-api-key')
    expect(x.outgoing.headers).toMatchObject({ 'x-auth-subject': 'acme', 'x-auth-scopes': 'read' })
    expect(JSON.stringify(x.identity)).not.toContain(key)
  })

  it('come in the header of the provider, and in no other', async () => {
    const { key } = await makeKey()
    const { send, gate } = setup({ header: 'X-Acme-Key' })
    expect((await send(key, 'x-acme-key')).status).toBe(200)
    expect((await send(key)).code).toBe('api-key-missing')
    expect((await gate(`Bearer ${key}`)).code).toBe('api-key-missing')
    expect((await gate(`ApiKey ${key}`)).code).toBe('api-key-missing')
  })

  it('are asked about once, and again in the background', async () => {
    const { key } = await makeKey()
    const { watch, send } = setup({ cacheTtl: '30s' })
    for (let i = 0; i < 5; i++) expect((await send(key)).status).toBe(200)
    expect(watch.calls).toBe(1)
    watch.now += 15_000
    for (let i = 0; i < 5; i++) expect((await send(key)).status).toBe(200)
    expect(watch.calls).toBe(2)
    // Asked in between, it is good for another whole time.
    watch.now += 29_999
    watch.isDown = true
    expect((await send(key)).status).toBe(200)
    watch.now += 1
    const late = await send(key)
    expect(late).toMatchObject({ code: 'identity-unavailable', status: 503 })
    expect(late.response.headers.get('retry-after')).toBe('2')
    watch.isDown = false
    expect((await send(key)).status).toBe(200)
  })

  it('end when they are revoked: at the next answer, at the latest after their time', async () => {
    const { key, apiKey } = await makeKey()
    const { watch, send } = setup({ cacheTtl: '30s' })
    expect((await send(key)).status).toBe(200)
    await store.revokeApiKey(apiKey.id, BY)
    watch.now += 15_000
    // This one asks in the background, and goes on.
    expect((await send(key)).status).toBe(200)
    expect((await send(key)).code).toBe('api-key-revoked')
    const { send: elsewhere } = setup()
    expect((await elsewhere(key)).code).toBe('api-key-revoked')
  })

  it('that were revoked do not live on while a clock that was set back comes to where it was', async () => {
    const { key, apiKey } = await makeKey()
    const { watch, send } = setup({ cacheTtl: '30s' })
    expect((await send(key)).status).toBe(200)
    await store.revokeApiKey(apiKey.id, BY)
    watch.now -= 3_600_000
    expect((await send(key)).code).toBe('api-key-revoked')
  })

  it('end when they expire, to the millisecond', async () => {
    const { watch, send } = setup({ cacheTtl: '1h' })
    const { key } = await makeKey({ expiresAt: Date.now() + 300 })
    expect((await send(key)).status).toBe(200)
    watch.now += 299
    expect((await send(key)).status).toBe(200)
    await scheduler.wait(310)
    watch.now = Date.now()
    expect((await send(key)).code).toBe('api-key-expired')
  })

  it('of 64 bits fewer, another case, or with something around are none, and nobody is asked', async () => {
    const { key } = await makeKey()
    const { watch, send } = setup()
    const odd = [
      key.slice(0, -1),
      `${key}0`,
      key.replace('umb_', ''),
      key.replace('umb_', 'UMB_'),
      key.replace('umb_', 'ums_'),
      `${key},${key}`,
      `"${key}"`,
      `${key}\u00e9`,
      `Bearer ${key}`,
      'umb_',
      'a'.repeat(20_000),
      "' OR 1=1 --",
      '__proto__',
    ]
    for (const text of odd) expect([text, (await send(text)).code]).toEqual([text, 'api-key-invalid'])
    expect((await send([key, key])).code).toBe('api-key-invalid')
    expect((await send([key, wellFormed('1')])).code).toBe('api-key-invalid')
    expect((await send('')).code).toBe('api-key-missing')
    expect(watch.calls).toBe(0)
    const passage = await send('umb_')
    expect(passage.response.headers.get('www-authenticate')).toBe('ApiKey realm="api"')
    expect(await passage.response.text()).not.toContain('umb_')
  })

  it('that are wrong are asked about once, and not at all in a flood; good ones that are known go on', async () => {
    const { key } = await makeKey()
    const { watch, send } = setup()
    expect((await send(key)).status).toBe(200)
    for (let i = 0; i < 5; i++) expect((await send(wellFormed('x'))).code).toBe('api-key-invalid')
    expect(watch.calls).toBe(2)
    const codes = await Promise.all(Array.from({ length: 500 }, async (_, i) => (await send(wellFormed(`${i}`))).code))
    expect(watch.calls).toBe(101)
    expect(codes.filter((code) => code === 'api-key-invalid')).toHaveLength(99)
    expect(codes.filter((code) => code === 'identity-unavailable')).toHaveLength(401)
    expect((await send(key)).status).toBe(200)
    watch.now += 1_000
    expect((await send((await makeKey()).key)).status).toBe(200)
  })

  it('that were good when they came last are asked about in a flood too, unless they are good no more', async () => {
    const [{ key }, { key: gone, apiKey }] = [await makeKey(), await makeKey()]
    const { watch, send } = setup({ cacheTtl: '1s' })
    for (const one of [key, gone]) expect((await send(one)).status).toBe(200)
    watch.now += 60_000
    await store.revokeApiKey(apiKey.id, BY)
    await Promise.all(Array.from({ length: 150 }, (_, i) => send(wellFormed(`${i}`))))
    expect((await send(wellFormed('new'))).code).toBe('identity-unavailable')
    expect((await send(key)).status).toBe(200)
    expect((await send(gone)).code).toBe('api-key-revoked')
    watch.now += 500
    const asked = watch.calls
    watch.now += 60_000
    await Promise.all(Array.from({ length: 150 }, (_, i) => send(wellFormed(`${i + 200}`))))
    expect((await send(gone)).code).toBe('identity-unavailable')
    expect(watch.calls - asked).toBe(100)
  })
})
