import { evictDurableObject } from 'cloudflare:test'
import fc from 'fast-check'
import { calculateJwkThumbprint, importJWK, jwtVerify, SignJWT } from 'jose'
import { expect, it } from 'vitest'
import { MAX_ACCESS_TOKEN_MS } from '../../../src/identity/store-limits.ts'
import { BY, makeStore } from './identity-store.ts'

const DAY = 86_400_000

it('makes one key for isolates that ask at once, which signs what its public part verifies', async () => {
  const { ask, stub } = makeStore('keys')
  const [one, two] = await Promise.all([ask('signingKeys'), ask('signingKeys')])
  expect(one).toEqual(two)
  await evictDurableObject(stub)
  expect(await ask('signingKeys')).toEqual(one)
  const { active, published } = one
  expect(published.map((key) => Object.keys(key).toSorted())).toEqual([['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y']])
  expect(active.kid).toBe(await calculateJwkThumbprint(active))
  const token = await new SignJWT({ sub: 'jo' })
    .setProtectedHeader({ alg: 'ES256', kid: active.kid })
    .sign(await importJWK({ ...active }))
  expect((await jwtVerify(token, await importJWK({ ...published[0]! }))).payload.sub).toBe('jo')
})

it('publishes a key a day before it signs, signs for 30 days, and keeps it until its last token is dead', async () => {
  await makeStore('rotation').inside((ask, clock) => {
    const born = clock.at
    const first = ask('signingKeys').active.kid
    clock.at = born + 29 * DAY - 1
    expect(ask('signingKeys').published).toHaveLength(1)
    expect(ask('signingKeys').refreshAfterMs).toBe(1_000)
    clock.at = born + 29 * DAY
    const both = ask('signingKeys')
    expect([both.active.kid, both.published.length, both.published[1]!.kid]).toEqual([first, 2, first])
    const second = both.published[0]!.kid
    clock.at = born + 30 * DAY - 1
    expect(ask('signingKeys').active.kid).toBe(first)
    clock.at = born + 30 * DAY
    expect(ask('signingKeys').active.kid).toBe(second)
    clock.at = born + 31 * DAY + 599_999
    expect(ask('signingKeys').published.map(({ kid }) => kid)).toEqual([second, first])
    clock.at++
    expect(ask('signingKeys').published.map(({ kid }) => kid)).toEqual([second])
  })
})

it('signs only with keys that verifiers had time to see, and publishes each until its tokens are dead, at whatever times it is asked', async () => {
  const hours = fc.array(fc.integer({ min: 0, max: 40 * 24 }), { minLength: 1, maxLength: 25 })
  let run = 0
  await makeStore('schedule').inside((ask, clock) => {
    fc.assert(
      fc.property(hours, fc.constantFrom(1, 24, 7 * 24, 30 * 24), (waits, rotateHours) => {
        if (run++ > 0) ask('replaceSigningKeys', BY)
        const leadMs = Math.min(DAY, (rotateHours * 3_600_000) / 3)
        const begun = clock.at
        const seenAt = new Map<string, number>()
        const signedAt = new Map<string, number>()
        for (const wait of waits) {
          const { active, published, refreshAfterMs } = ask('signingKeys', rotateHours * 3_600_000)
          for (const { kid } of published) if (!seenAt.has(kid)) seenAt.set(kid, clock.at)
          expect(
            clock.at === begun || seenAt.get(active.kid) === begun || clock.at - seenAt.get(active.kid)! >= leadMs,
          ).toBe(true)
          signedAt.set(active.kid, clock.at)
          for (const [kid, at] of signedAt)
            if (clock.at < at + refreshAfterMs + MAX_ACCESS_TOKEN_MS)
              expect(published.map((key) => key.kid)).toContain(kid)
          expect(published.length).toBeLessThanOrEqual(2 + MAX_ACCESS_TOKEN_MS / (rotateHours * 3_600_000) + 1)
          clock.at += wait * 3_600_000
        }
      }),
      { numRuns: 40 },
    )
  })
})

it('signs with the oldest when the clock has stepped back before all of them', async () => {
  await makeStore('back').inside((ask, clock) => {
    const { active } = ask('signingKeys')
    clock.at -= DAY
    expect(ask('signingKeys').active.kid).toBe(active.kid)
  })
})

it('puts a new key in the place of all when one has leaked', async () => {
  const { ask } = makeStore('leaked')
  const before = await ask('signingKeys')
  expect(await ask('replaceSigningKeys', BY)).toBe('replaced')
  const after = await ask('signingKeys')
  expect(after.published).toHaveLength(1)
  expect(after.active.kid).not.toBe(before.active.kid)
})
