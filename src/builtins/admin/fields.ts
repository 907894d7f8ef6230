import * as z from 'zod/mini'
import { distinct, expected } from '../../config/schema/scalars.ts'
import { STORE_LIMITS } from '../../identity/store-limits.ts'

const NAME_EXPECTED =
  'expected 1 to 64 of a-z, 0-9 and "._@+-", a letter or digit first: what needs no escape in a path, and has one spelling'

/** A username or the id of an OAuth client. Lower case only, so that no two accounts differ by case. */
export const accountName = z
  .string(expected(NAME_EXPECTED))
  .check(z.regex(/^[a-z0-9][a-z0-9._@+-]{0,63}$/, expected(NAME_EXPECTED)))

const PASSWORD_EXPECTED = 'expected a text of 12 to 256 characters'

/**
 * A password. Only its length is checked, because composition rules make passwords worse (NIST SP 800-63B §5.1.1.2). The upper bound keeps
 * hashing cheap. The message never contains the password.
 */
export const password = z.string(PASSWORD_EXPECTED).check(
  z.refine((text) => {
    const { length } = Array.from(text)
    return length >= 12 && length <= 256
  }, PASSWORD_EXPECTED),
)

/** Printable text of a bounded length. */
export const text = z
  .string()
  .check(
    z.minLength(1),
    z.maxLength(STORE_LIMITS.textLength),
    z.regex(/^\P{Cc}+$/u, expected('expected text without control characters')),
  )

/** An e-mail address, checked as loosely as RFC 5321 allows: text on both sides of an `@`, no spaces. */
export const email = text.check(z.regex(/^[^\s@]+@[^\s@]+$/, expected('expected an e-mail address')))

const scope = z
  .string()
  .check(
    z.maxLength(STORE_LIMITS.nameLength),
    z.regex(/^[!#-[\]-~]+$/, expected('expected a scope: no spaces, quotes or backslashes')),
  )

const role = z
  .string()
  .check(
    z.maxLength(STORE_LIMITS.nameLength),
    z.regex(/^[!-~]+$/, expected('expected a role: printable ASCII without spaces')),
  )

/** The scopes and roles of an account or API key; none by default. */
export const rights = {
  scopes: z.exactOptional(z.array(scope).check(z.maxLength(STORE_LIMITS.scopesOrRoles), distinct())),
  roles: z.exactOptional(z.array(role).check(z.maxLength(STORE_LIMITS.scopesOrRoles), distinct())),
}

const TIME_EXPECTED = 'expected a time to come, such as "2031-01-31T00:00:00Z"'
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,3})?(?:Z|[+-]\d\d:\d\d)$/

/** A time after `now()` (RFC 3339), parsed to epoch milliseconds. */
export function timeAfter(now: () => number) {
  return z.pipe(
    z
      .string(expected(TIME_EXPECTED))
      .check(z.refine((text) => TIME.test(text) && Date.parse(text) > now(), expected(TIME_EXPECTED))),
    z.transform((text: string) => Date.parse(text)),
  )
}

/** Epoch milliseconds in RFC 3339; null for undefined. */
export function formatTime(at: number | undefined): string | null {
  return at === undefined ? null : new Date(at).toISOString()
}
