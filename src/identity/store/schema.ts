import * as z from 'zod/mini'
import { STORE_LIMITS } from '../store-limits.ts'
import { isPasswordHash } from '../password.ts'
import { GRANTS, type Invalid } from '../types.ts'

const NAME_EXPECTED = `expected 1 to ${STORE_LIMITS.nameLength} printable characters without spaces, in NFC`
const TOKEN_EXPECTED = `expected 1 to ${STORE_LIMITS.nameLength} printable ASCII characters without spaces, " and \\`
const TEXT_EXPECTED = `expected 1 to ${STORE_LIMITS.textLength} printable characters`

/** NFC, because names that look the same but differ in their bytes would be two users. */
const name = z.string(NAME_EXPECTED).check(
  z.regex(new RegExp(`^[^\\p{C}\\p{Z}]{1,${STORE_LIMITS.nameLength}}$`, 'u'), NAME_EXPECTED),
  z.refine((text) => text === text.normalize('NFC'), NAME_EXPECTED),
)

const text = z
  .string(TEXT_EXPECTED)
  .check(z.regex(new RegExp(`^[^\\p{C}\\p{Zl}\\p{Zp}]{1,${STORE_LIMITS.textLength}}$`, 'u'), TEXT_EXPECTED))

/** A scope token (RFC 6749 §3.3). Roles and tiers have the same form. */
const scopeToken = z
  .string(TOKEN_EXPECTED)
  .check(z.regex(new RegExp(`^[\\x21\\x23-\\x5b\\x5d-\\x7e]{1,${STORE_LIMITS.nameLength}}$`), TOKEN_EXPECTED))

const scopesOrRoles = z.array(scopeToken, 'expected a list').check(
  z.maxLength(STORE_LIMITS.scopesOrRoles, `expected ${STORE_LIMITS.scopesOrRoles} at most`),
  z.refine((list) => new Set(list).size === list.length, 'expected each once'),
)

/** The schema of an `AuditRetention`. */
export const auditRetention = z.strictObject({
  maxAgeMs: z.int('expected whole milliseconds').check(z.positive('expected more than 0')),
  maxRows: z.int('expected a whole number').check(z.positive('expected more than 0')),
})

const flag = z.boolean('expected true or false')
const time = z.int('expected whole milliseconds since 1970').check(z.positive('expected a time after 1970'))
const passwordHash = z.string('expected a hash').check(z.refine(isPasswordHash, 'expected a hash made by hashPassword'))

const userFields = {
  email: z.optional(z.nullable(text)),
  fullName: z.optional(z.nullable(text)),
  disabled: z.optional(flag),
  scopes: z.optional(scopesOrRoles),
  roles: z.optional(scopesOrRoles),
}

const oauthClientFields = {
  name: z.optional(z.nullable(text)),
  disabled: z.optional(flag),
  grants: z.optional(z.array(z.enum(GRANTS, `expected ${GRANTS.join(', ')}`), 'expected a list')),
  scopes: z.optional(scopesOrRoles),
  roles: z.optional(scopesOrRoles),
}

/** The input of `createUser`. This and the following schemas refuse unknown fields; `invalidField` names the first error. */
export const newUser = z.strictObject({ username: name, passwordHash, ...userFields }, 'expected these fields only')
/** The input of `updateUser`; every field is optional, and `null` removes `email` or `fullName`. */
export const userChange = z.strictObject(
  { passwordHash: z.optional(passwordHash), ...userFields },
  'expected these fields only',
)
/** The input of `createOAuthClient`. Whether its grants suit a public client is checked by the store. */
export const newOAuthClient = z.strictObject({
  clientId: name,
  confidential: z.optional(flag),
  ...oauthClientFields,
})
/** The input of `updateOAuthClient`; every field is optional. `confidential` cannot change. */
export const oauthClientChange = z.strictObject({ newSecret: z.optional(flag), ...oauthClientFields })
/** The input of `createApiKey`; `expiresAt` in epoch milliseconds. Whether it is in the future is checked by the store. */
export const newApiKey = z.strictObject({
  owner: name,
  scopes: z.optional(scopesOrRoles),
  roles: z.optional(scopesOrRoles),
  tier: z.optional(z.union([z.literal(''), scopeToken], TOKEN_EXPECTED)),
  expiresAt: z.optional(time),
})
/** The input of `revoke`: one kind of target, and `until` in epoch milliseconds. */
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
/** The input of every list; `owner` only applies where rows have owners. */
export const pageRequest = z.strictObject({
  after: z.optional(z.string('expected the "next" of the page before')),
  limit: z.optional(
    z
      .int(`expected 1 to ${STORE_LIMITS.pageRows}`)
      .check(z.gte(1, 'expected 1 or more'), z.lte(STORE_LIMITS.pageRows, `expected ${STORE_LIMITS.pageRows} at most`)),
  ),
  owner: z.optional(z.string('expected a name')),
})

/** The first invalid field of `value` and what was expected there, never the value; undefined when `value` is valid. */
export function invalidField(schema: z.ZodMiniType, value: unknown): Invalid | undefined {
  const issue = schema.safeParse(value).error?.issues[0]
  if (issue === undefined) return undefined
  const isExtra = issue.code === 'unrecognized_keys'
  const path = [...issue.path, ...(isExtra ? issue.keys.slice(0, 1) : [])].join('.')
  return `invalid: ${path}${path && ': '}${isExtra ? 'no such field' : issue.message}`
}
