import * as z from 'zod/mini'
import { expectedOneOf } from './complaint.ts'

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES_PER_UNIT: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 }

/** `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"1d"` → milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  return parseQuantity(/^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text), MS_PER_UNIT)
}

/** `"512b"`, `"64kb"`, `"1mb"`, `"1gb"` (steps of 1024) → bytes; undefined for anything else. */
export function parseSize(text: string): number | undefined {
  return parseQuantity(/^(\d+(?:\.\d+)?)(b|kb|mb|gb)$/i.exec(text), BYTES_PER_UNIT)
}

function parseQuantity(found: RegExpExecArray | null, units: Readonly<Record<string, number>>): number | undefined {
  const unit = units[found?.[2]?.toLowerCase() ?? '']
  const quantity = Number(found?.[1]) * (unit ?? NaN)
  return Number.isSafeInteger(quantity) ? quantity : undefined
}

/** The same schema with the sentence that editors and the docs table show. */
export function doc<Schema extends z.ZodMiniType>(schema: Schema, text: string): Schema {
  return schema.check(z.describe(text)) as Schema
}

/** A duration in milliseconds, within `[min, max]` (milliseconds). */
export function duration(min = 1, max = 31 * 86_400_000) {
  const ok = (text: string) => {
    const ms = parseDuration(text)
    return ms !== undefined && ms >= min && ms <= max
  }
  return z.pipe(
    z
      .string('expected a duration such as "250ms", "10s", "5m", "1h" or "1d"')
      .check(z.refine(ok, `expected a duration such as "250ms", "10s", "5m", "1h" or "1d", from ${min}ms to ${max}ms`)),
    z.transform((text: string) => parseDuration(text)!),
  )
}

/** A size in bytes, at least one. */
export function size() {
  return z.pipe(
    z
      .string('expected a size such as "512b", "64kb" or "1mb"')
      .check(z.refine((text) => (parseSize(text) ?? 0) > 0, 'expected a size such as "512b", "64kb" or "1mb"')),
    z.transform((text: string) => parseSize(text)!),
  )
}

/** One of `names`; a name in `later` belongs to the contract but is not built yet. */
export function choice<const Names extends readonly [string, ...string[]]>(
  names: Names,
  later: readonly string[] = [],
) {
  return z.enum(names, {
    error: (issue) =>
      later.includes(String(issue.input))
        ? `"${String(issue.input)}" is not supported yet; expected one of ${names.map((n) => `"${n}"`).join(', ')}`
        : expectedOneOf(String(issue.input), names),
  })
}

/** A key of the contract whose part is not built: present means refused, never ignored. */
export function notYet() {
  return z.optional(z.never('not supported yet'))
}

const NAME = /^[A-Z_][A-Z0-9_]*$/i

/** A secret's name; its value is a Worker secret or variable and never stands in the file. */
export const secretRef = z.strictObject(
  { $secret: z.string().check(z.regex(NAME, 'expected the name of a secret, such as "JWT_SECRET"')) },
  'expected { "$secret": "NAME" }: secrets do not stand in routes.json',
)
export type SecretRef = z.output<typeof secretRef>

const envRef = z.strictObject({ $env: z.string().check(z.regex(NAME, 'expected the name of a variable')) })

/** Whether a text is an absolute http(s) URL without credentials, query or fragment. */
export function isBaseUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  return (
    /^https?:$/.test(url.protocol) && !url.username && !url.password && !url.search && !url.hash && !/[?#]/.test(text)
  )
}

const URL_EXPECTED = 'expected an absolute http(s) URL without credentials, query or fragment, or { "$env": "NAME" }'

/** An absolute http(s) URL, or the name of the variable that holds it. */
export const urlOrEnv = z.union([z.string().check(z.refine(isBaseUrl, URL_EXPECTED)), envRef], URL_EXPECTED)
export type UrlOrEnv = z.output<typeof urlOrEnv>

/** The URL, or what the variable holds; undefined when that is unset or not a URL. */
export function resolveUrl(value: UrlOrEnv, variable: (name: string) => string | undefined): string | undefined {
  const url = typeof value === 'string' ? value : variable(value.$env)
  return url !== undefined && isBaseUrl(url) ? url : undefined
}

/** An HTTP field name (RFC 9110 §5.1), lower-cased. */
export const headerName = z.pipe(
  z.string().check(z.regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/, 'expected a header name')),
  z.transform((name: string) => name.toLowerCase()),
)

export const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const
/** A method that the gateway accepts; every other one is answered 501. */
export const method = choice(METHODS)
