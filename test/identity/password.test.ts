import { scryptSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, expect, it } from 'vitest'
import type { Platform } from '../../src/core/platform.ts'
import { hashPassword, isPasswordHash, reserveHashSlot, verifyPassword } from '../../src/identity/password.ts'

const platform = { now: Date.now }
/** As a login does it. */
const verify = async (password: string, stored: string | undefined, at: Pick<Platform, 'now'> = platform) =>
  (await reserveHashSlot(at)) ? verifyPassword(password, stored, at) : 'busy'

// The queue is the isolate's: each test begins with an empty one.
beforeEach(() => sleep(160))

it('verifies the password that was hashed, in either Unicode form, and no other', async () => {
  const hash = await hashPassword('pässword 1', platform)
  expect(isPasswordHash(hash)).toBe(true)
  await sleep(160)
  expect(await verify('pa\u0308ssword 1', hash, platform)).toBe(true)
  await sleep(160)
  expect(await verify('pässword 2', hash, platform)).toBe(false)
  expect(await hashPassword('pässword 1', platform)).not.toBe(hash)
})

it('is scrypt as RFC 7914 has it, with N = 2^14, r = 8, p = 1', async () => {
  const hash = await hashPassword('secret-secret', platform)
  const [, , , salt, derived] = hash.split('$')
  const expected = scryptSync('secret-secret', Buffer.from(salt!, 'base64'), 32, { N: 16_384, r: 8, p: 1 })
  expect(Buffer.from(derived!, 'base64').equals(expected)).toBe(true)
})

it.each([
  ['nobody', undefined],
  ['an empty hash', ''],
  ['other parameters', `$scrypt$ln=4,r=8,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`],
  ['the hash of nobody', `$scrypt$ln=14,r=8,p=1$${'A'.repeat(22)}$${'A'.repeat(43)}`],
])('is false for %s', async (_, stored) => {
  expect(await verify('', stored, platform)).toBe(false)
})

it('takes four at once and answers the fifth busy, then has room again', async () => {
  const hash = `$scrypt$ln=14,r=8,p=1$${'B'.repeat(22)}$${'B'.repeat(43)}`
  const answers = await Promise.all(Array.from({ length: 5 }, () => verify('x', hash)))
  expect(answers).toEqual([false, false, false, false, 'busy'])
  await sleep(160)
  expect(await verify('x', hash, platform)).toBe(false)
})

it('has room again when those who waited were dropped, and when the clock steps back', async () => {
  let now = Date.now() + 1_000_000
  const clock = { now: () => now }
  const dropped = Array.from({ length: 4 }, () => verify('x', undefined, clock))
  expect(await verify('x', undefined, clock)).toBe('busy')
  now += 1_000
  expect(await verify('x', undefined, clock)).toBe(false)
  expect(await verify('x', undefined, platform)).toBe(false)
  await Promise.all(dropped)
})

it('derives no more than 1,024 characters of a password', async () => {
  const hash = await hashPassword('x'.repeat(1_024), platform)
  await sleep(160)
  expect(await verify('x'.repeat(1_025), hash, platform)).toBe(false)
})
