import * as z from 'zod/mini'
import { doc, expected } from '../config/schema/scalars.ts'
import type { Exchange } from '../core/exchange.ts'
import { claimText, compileClaimPath, isClaimPath } from '../core/request-attribute.ts'
import { MAX_LIMIT } from './cost.ts'
import { limitNumber } from './limit-number.ts'

const SUBJECT = expected('expected "jwt.<claim>", "apiKey.tier" or "apiKey.id"')
const VALUE = expected('expected a text of 1 to 128 characters, a number, true or false')

const subject = z
  .string()
  .check(
    z.refine(
      (text) =>
        text === 'apiKey.tier' || text === 'apiKey.id' || (text.startsWith('jwt.') && isClaimPath(text.slice(4))),
      SUBJECT,
    ),
  )

const value = z.union([z.string().check(z.minLength(1), z.maxLength(128)), z.number(), z.boolean()], VALUE)

/** One entry of a limiter's `overrides`. */
export const override = z.strictObject({
  when: doc(
    z.record(subject, value).check(
      z.refine((when) => Object.keys(when).length > 0, 'expected at least one claim, or the API key’s tier or id'),
      z.refine(
        (when) => !('jwt.sub' in when) || 'jwt.iss' in when,
        'a subject means something only beside its issuer: expected "jwt.iss" too',
      ),
    ),
    'The callers, by jwt.<claim>, apiKey.tier or apiKey.id. All conditions must match.',
  ),
  limit: doc(
    limitNumber(({ limit }) => `the period is the limiter’s "window": write "limit": ${limit}`),
    'In place of the limiter’s `limit`.',
  ),
  burst: z.optional(
    doc(
      z.int().check(z.gte(1), z.lte(MAX_LIMIT)),
      'In place of the limiter’s `burst`. Default as many as this `limit`.',
    ),
  ),
})

/** An override as checked: `when` has one entry or more, and `burst` undefined means as many as `limit`. */
export type OverrideConfig = z.output<typeof override>
type When = OverrideConfig['when']

/** Compiles `when`: whether a request's caller is one of those. */
export function compileWhen(when: When): (x: Exchange) => boolean {
  const tests = Object.entries(when).map(([name, wanted]) => {
    const read = compileSubject(name)
    const text = String(wanted)
    return (x: Exchange) => read(x) === text
  })
  return (x) => tests.every((test) => test(x))
}

/** `jwt.plan=gold`: names the count of an override, the same wherever and in what order it is written. */
export function whenText(when: When): string {
  return Object.entries(when)
    .map(([name, wanted]) => `${name}=${encodeURIComponent(String(wanted))}`)
    .toSorted()
    .join('&')
}

/** Whether every caller that matches `narrow` also matches `wide`. */
export function covers(wide: When, narrow: When): boolean {
  return Object.entries(wide).every(([name, wanted]) => name in narrow && String(narrow[name]) === String(wanted))
}

function compileSubject(name: string): (x: Exchange) => string | undefined {
  if (name === 'apiKey.tier') return (x) => x.identity?.tier
  if (name === 'apiKey.id') return (x) => x.identity?.keyId
  const claim = compileClaimPath(name.slice('jwt.'.length))
  return (x) => x.identity && claimText(claim(x.identity.claims))
}
