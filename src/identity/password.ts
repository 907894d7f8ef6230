import { randomBytes, scryptSync, timingSafeEqual, createHash } from 'node:crypto'
import type { Platform } from '../core/platform.ts'

const COST = { N: 2 ** 14, r: 8, p: 1 }
const HASH_BYTES = 32
const PREFIX = '$scrypt$ln=14,r=8,p=1$'
const FORM = /^\$scrypt\$ln=14,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/
const MAX_CHARACTERS = 1_024

/** Stands in for the hash of a user who does not exist, so that he costs the same time; no password has it. */
const NOBODY = `${PREFIX}${'A'.repeat(22)}$${'A'.repeat(43)}`

/**
 * How far the beginnings of two derivations lie apart, in milliseconds. One blocks the isolate for about 25 ms, in node:crypto's async form too;
 * the rest of its slot belongs to everybody else.
 */
const SLOT_MS = 150
const SLOTS = 4

/** When the next derivation may begin. A time and no count: a request that is dropped while it waits has nothing to give back. */
let nextSlot = 0

/** A password as it may be stored: scrypt (RFC 7914) in the PHC form. `busy` when four are waiting or at work in this isolate. */
export async function hashPassword(
  password: string,
  platform: Pick<Platform, 'now'>,
): Promise<`$scrypt$${string}` | 'busy'> {
  if (!(await takeTurn(platform))) return 'busy'
  const salt = randomBytes(16)
  const hash = derive(password, salt, platform.now)
  return `${PREFIX}${unpadded(salt)}$${unpadded(hash)}`
}

/** Whether `password` is the one of `stored`; for a user who does not exist pass undefined, which takes as long and is false. Only after `takeTurn`. */
export function verifyPassword(password: string, stored: string | undefined, { now }: Pick<Platform, 'now'>): boolean {
  const known = stored !== undefined && isPasswordHash(stored)
  const [salt, hash] = (known ? stored : NOBODY).slice(PREFIX.length).split('$')
  const derived = derive(password, Buffer.from(salt!, 'base64'), now)
  const isSame = timingSafeEqual(derived, Buffer.from(hash!, 'base64'))
  return isSame && known && password.length <= MAX_CHARACTERS
}

/** Whether a text is what `hashPassword` makes. */
export function isPasswordHash(text: string): boolean {
  return FORM.test(text)
}

/** Waits until one more password may be derived; false at once when four are waiting or at work in this isolate. */
export async function takeTurn({ now }: Pick<Platform, 'now'>): Promise<boolean> {
  const at = now()
  // Further ahead than there are slots: the clock has stepped back.
  if (nextSlot - at > SLOTS * SLOT_MS) nextSlot = at
  const wait = Math.max(0, nextSlot - at)
  if (wait > (SLOTS - 1) * SLOT_MS) return false
  nextSlot = at + wait + SLOT_MS
  if (wait > 0) await new Promise((passed) => setTimeout(passed, wait))
  return true
}

function derive(password: string, salt: Buffer, now: () => number): Buffer {
  // Cut, so that a long one costs no more; two spellings of one character are one password (RFC 8265 §4.2).
  const hash = scryptSync(password.slice(0, MAX_CHARACTERS).normalize('NFC'), salt, HASH_BYTES, COST)
  // Where the clock runs on meanwhile, whoever came in during a slow derivation must not follow without a break.
  nextSlot = Math.max(nextSlot, now() + SLOT_MS / 2)
  return hash
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** 43 digits of 62 are 256 bits; 22 are 131. */
const SECRET_DIGITS = 43
const FAMILY_DIGITS = 22

const REFRESH_FORM = new RegExp(`^umr_([0-9A-Za-z]{${FAMILY_DIGITS}})[0-9A-Za-z]{${SECRET_DIGITS}}$`)

/** The store's form of a secret of 256 random bits: lower-case hex. Such a secret cannot be guessed, so no slow hash is needed. */
export function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** A new API key: `umb_` and 256 random bits. The prefix lets scanners of source code find one that was committed. */
export function makeApiKey(): string {
  return `umb_${randomDigits(SECRET_DIGITS)}`
}

/** A new client secret: `ums_` and 256 random bits. */
export function makeClientSecret(): string {
  return `ums_${randomDigits(SECRET_DIGITS)}`
}

/** A name that is no secret, for what has none of its own. */
export function makeId(): string {
  return randomDigits(FAMILY_DIGITS)
}

/**
 * The next refresh token of a family. All its tokens begin alike, with 131 random bits that stand nowhere else: whoever shows that much
 * had one of them, so a token that is not the live one was used before, and no list of used ones is needed to know it.
 */
export function makeRefreshToken(family = randomDigits(FAMILY_DIGITS)): string {
  return `umr_${family}${randomDigits(SECRET_DIGITS)}`
}

/** The part that all refresh tokens of a family have; undefined for a text that cannot be one. */
export function sessionOfRefreshToken(token: string): string | undefined {
  return REFRESH_FORM.exec(token)?.[1]
}

function randomDigits(count: number): string {
  let digits = ''
  while (digits.length < count) {
    // Bytes from 248 on are left out: 256 is no multiple of 62, and the first digits would come more often.
    for (const byte of randomBytes(count)) if (byte < 248 && digits.length < count) digits += DIGITS[byte % 62]
  }
  return digits
}
