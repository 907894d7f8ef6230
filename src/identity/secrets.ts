import { createHash, randomBytes } from 'node:crypto'

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
export function refreshFamily(token: string): string | undefined {
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
