import * as z from 'zod/mini'
import { BOUNDS } from '../config.ts'
import { isPasswordHash } from '../password.ts'
import { GRANTS, type Invalid } from '../types.ts'

const NAME_EXPECTED = `expected 1 to ${BOUNDS.name} printable characters without spaces, in NFC`
const WORD_EXPECTED = `expected 1 to ${BOUNDS.name} printable ASCII characters without spaces, " and \\`
const TEXT_EXPECTED = `expected 1 to ${BOUNDS.text} printable characters`

/** Two names that look alike but differ in their bytes would be two users: hence NFC. */
const name = z.string(NAME_EXPECTED).check(
  z.regex(new RegExp(`^[^\\p{C}\\p{Z}]{1,${BOUNDS.name}}$`, 'u'), NAME_EXPECTED),
  z.refine((text) => text === text.normalize('NFC'), NAME_EXPECTED),
)

const text = z
  .string(TEXT_EXPECTED)
  .check(z.regex(new RegExp(`^[^\\p{C}\\p{Zl}\\p{Zp}]{1,${BOUNDS.text}}$`, 'u'), TEXT_EXPECTED))

/** A scope token (RFC 6749 §3.3); roles have the same form. */
const word = z
  .string(WORD_EXPECTED)
  .check(z.regex(new RegExp(`^[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,${BOUNDS.name}}$`), WORD_EXPECTED))

const words = z.array(word, 'expected a list').check(
  z.maxLength(BOUNDS.words, `expected ${BOUNDS.words} at most`),
  z.refine((list) => new Set(list).size === list.length, 'expected each once'),
)

const flag = z.boolean('expected true or false')
const time = z.int('expected whole milliseconds since 1970').check(z.positive('expected a time after 1970'))
const passwordHash = z.string('expected a hash').check(z.refine(isPasswordHash, 'expected a hash made by hashPassword'))

const userFields = {
  email: z.optional(z.nullable(text)),
  fullName: z.optional(z.nullable(text)),
  disabled: z.optional(flag),
  scopes: z.optional(words),
  roles: z.optional(words),
}

const clientFields = {
  name: z.optional(z.nullable(text)),
  disabled: z.optional(flag),
  grants: z.optional(z.array(z.enum(GRANTS, `expected ${GRANTS.join(', ')}`), 'expected a list')),
  scopes: z.optional(words),
  roles: z.optional(words),
}

/** What `createUser` takes. Here and below, unknown fields are refused, and what is wrong is said by `flawOf`. */
export const newUser = z.strictObject({ username: name, passwordHash, ...userFields }, 'expected these fields only')
/** What `updateUser` takes, which need be no field at all; `null` takes an `email` or a `fullName` away. */
export const userChange = z.strictObject(
  { passwordHash: z.optional(passwordHash), ...userFields },
  'expected these fields only',
)
/** What `createClient` takes. Whether its grants fit a public client is for the store to say. */
export const newOAuthClient = z.strictObject({
  clientId: name,
  confidential: z.optional(flag),
  ...clientFields,
})
/** What `updateClient` takes, which need be no field at all. A client never becomes public or confidential later. */
export const oauthClientChange = z.strictObject({ newSecret: z.optional(flag), ...clientFields })
/** What `createApiKey` takes; `expiresAt` in epoch milliseconds, of which the store wants a time to come. */
export const newApiKey = z.strictObject({
  owner: name,
  scopes: z.optional(words),
  roles: z.optional(words),
  tier: z.optional(z.union([z.literal(''), word], WORD_EXPECTED)),
  expiresAt: z.optional(time),
})
/** What `revoke` takes: exactly one kind of target, and until when, in epoch milliseconds. */
export const revocationTarget = z.strictObject({
  target: z.union(
    [
      z.strictObject({ jti: text }),
      z.strictObject({ issuer: text, subject: text }),
      z.strictObject({ sid: text }),
      z.strictObject({ keyId: text }),
    ],
    'expected { jti }, { issuer, subject }, { sid } or { keyId }',
  ),
  until: time,
})
/** What every list takes; `owner` says something only where rows have owners. */
export const pageAsk = z.strictObject({
  after: z.optional(z.string('expected the "next" of the page before')),
  limit: z.optional(
    z
      .int(`expected 1 to ${BOUNDS.page}`)
      .check(z.gte(1, 'expected 1 or more'), z.lte(BOUNDS.page, `expected ${BOUNDS.page} at most`)),
  ),
  owner: z.optional(z.string('expected a name')),
})

/** What is wrong with `value`: the first field, and what was expected there. Never what stands there. */
export function invalidField(schema: z.ZodMiniType, value: unknown): Invalid | undefined {
  const issue = schema.safeParse(value).error?.issues[0]
  if (issue === undefined) return undefined
  const isExtra = issue.code === 'unrecognized_keys'
  const where = [...issue.path, ...(isExtra ? issue.keys.slice(0, 1) : [])].join('.')
  return `invalid: ${where}${where && ': '}${isExtra ? 'no such field' : issue.message}`
}
