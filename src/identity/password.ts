import { createHash, randomBytes, scryptSync, timingSafeEqual } from 'node:crypto'
import type { Platform } from '../core/platform.ts'
import { sleep } from '../lib/time.ts'

const COST = { N: 2 ** 14, r: 8, p: 1 }
const HASH_BYTES = 32
const PREFIX = '$scrypt$ln=14,r=8,p=1$'
const PASSWORD_HASH = /^\$scrypt\$ln=14,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/
const MAX_CHARACTERS = 1_024

/** Verified in place of the hash of a user who does not exist, so that this takes the same time. No password has it. */
const DUMMY_HASH = `${PREFIX}${'A'.repeat(22)}$${'A'.repeat(43)}`

/**
 * The time between the starts of two derivations, in milliseconds. A derivation blocks the isolate for about 25 ms, in node:crypto's async form
 * too. The rest of the slot is left to other requests.
 */
const SLOT_MS = 150
const SLOTS = 4

/** When the next derivation may start. A time, not a count: a request that is dropped while it waits has nothing to release. */
let nextSlot = 0

/** The hash of a password for storage: scrypt (RFC 7914) in PHC string format. `busy` when all slots of this isolate are reserved. */
export async function hashPassword(
  password: string,
  platform: Pick<Platform, 'now'>,
): Promise<`$scrypt$${string}` | 'busy'> {
  if (!(await reserveHashSlot(platform))) return 'busy'
  const salt = randomBytes(16)
  const hash = derive(password, salt, platform.now)
  return `${PREFIX}${withoutPadding(salt)}$${withoutPadding(hash)}`
}

/** Whether `password` has the hash `stored`. False for undefined, which stands for an unknown user and takes as long. Call only after `reserveHashSlot`. */
export function verifyPassword(password: string, stored: string | undefined, { now }: Pick<Platform, 'now'>): boolean {
  const isKnown = stored !== undefined && isPasswordHash(stored)
  const [salt, hash] = (isKnown ? stored : DUMMY_HASH).slice(PREFIX.length).split('$')
  const derived = derive(password, Buffer.from(salt!, 'base64'), now)
  const isSame = timingSafeEqual(derived, Buffer.from(hash!, 'base64'))
  return isSame && isKnown && password.length <= MAX_CHARACTERS
}

/** Whether a text has the form of a hash made by `hashPassword`. */
export function isPasswordHash(text: string): boolean {
  return PASSWORD_HASH.test(text)
}

/** Waits for a slot in which a password may be derived; false at once when all four slots of this isolate are reserved. */
export async function reserveHashSlot({ now }: Pick<Platform, 'now'>): Promise<boolean> {
  const at = now()
  // Further ahead than the slots reach: the clock has stepped back.
  if (nextSlot - at > SLOTS * SLOT_MS) nextSlot = at
  const waitMs = Math.max(0, nextSlot - at)
  if (waitMs > (SLOTS - 1) * SLOT_MS) return false
  nextSlot = at + waitMs + SLOT_MS
  if (waitMs > 0) await sleep(waitMs)
  return true
}

function derive(password: string, salt: Buffer, now: () => number): Buffer {
  // Truncated, so that a long password costs no more. NFC, so that two encodings of a character are one password (RFC 8265 §4.2).
  const hash = scryptSync(password.slice(0, MAX_CHARACTERS).normalize('NFC'), salt, HASH_BYTES, COST)
  // Where the clock advances during a slow derivation, the next one must still start after a pause.
  nextSlot = Math.max(nextSlot, now() + SLOT_MS / 2)
  return hash
}

function withoutPadding(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** 43 digits in base 62 are 256 bits. */
const SECRET_DIGITS = 43
/** 22 digits in base 62 are 131 bits. */
const ID_DIGITS = 22

const REFRESH_TOKEN = new RegExp(`^umr_([0-9A-Za-z]{${ID_DIGITS}})[0-9A-Za-z]{${SECRET_DIGITS}}$`)

/** SHA-256 in lower-case hex, in which the store keeps secrets of 256 random bits. They cannot be guessed, so no slow hash is needed. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** A new API key: `umb_` and 256 random bits. The prefix lets secret scanners find keys in source code. */
export function makeApiKey(): string {
  return `umb_${randomDigits(SECRET_DIGITS)}`
}

/** A new client secret of an OAuth client: `ums_` and 256 random bits. */
export function makeOAuthClientSecret(): string {
  return `ums_${randomDigits(SECRET_DIGITS)}`
}

/** A new random id of 131 bits; not a secret. */
export function makeId(): string {
  return randomDigits(ID_DIGITS)
}

/**
 * The next refresh token of a session, or the first of a new one. All tokens of a session begin with the same 131 random bits, which no other
 * value contains. So a token with that prefix that is not the live one was used before, and no list of used tokens is needed.
 */
export function makeRefreshToken(prefix = randomDigits(ID_DIGITS)): string {
  return `umr_${prefix}${randomDigits(SECRET_DIGITS)}`
}

/** The prefix that all refresh tokens of a session share, without `umr_`; undefined for a text that is not a refresh token. */
export function sessionOfRefreshToken(token: string): string | undefined {
  return REFRESH_TOKEN.exec(token)?.[1]
}

function randomDigits(count: number): string {
  let digits = ''
  while (digits.length < count) {
    // Bytes from 248 on are skipped: 256 is not a multiple of 62, so the first digits would be more frequent.
    for (const byte of randomBytes(count)) if (byte < 248 && digits.length < count) digits += DIGITS[byte % 62]
  }
  return digits
}
