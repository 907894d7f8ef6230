import * as z from 'zod/mini'
import { isHeaderName, isHeaderValue } from '../../lib/header.ts'
import { EXTENSION_METHODS, METHODS } from '../../lib/http-method.ts'
import { parseCidr, withoutHostBits } from '../../lib/ip.ts'
import { expectedOneOf, valueText } from './diagnostic.ts'

const MS_PER_UNIT: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES_PER_UNIT: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 }

/** `"250ms"`, `"10s"`, `"5m"`, `"1h"`, `"1d"` → milliseconds; undefined for anything else. */
function parseDuration(text: string): number | undefined {
  return parseQuantity(/^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text), MS_PER_UNIT)
}

/** `"512b"`, `"64kb"`, `"1mb"`, `"1gb"` (steps of 1024) → bytes; undefined for anything else. */
function parseSize(text: string): number | undefined {
  return parseQuantity(/^(\d+(?:\.\d+)?)(b|kb|mb|gb)$/i.exec(text), BYTES_PER_UNIT)
}

function parseQuantity(found: RegExpExecArray | null, units: Readonly<Record<string, number>>): number | undefined {
  const unit = units[found?.[2]?.toLowerCase() ?? '']
  const quantity = Number(found?.[1]) * (unit ?? NaN)
  return Number.isSafeInteger(quantity) ? quantity : undefined
}

/** `90000` milliseconds → `"90s"`: in the largest unit that needs no fraction. */
export function durationText(ms: number): string {
  const [unit, size] = Object.entries(MS_PER_UNIT).findLast(([, each]) => ms % each === 0 && ms >= each) ?? ['ms', 1]
  return `${ms / size}${unit}`
}

/** The error option of a schema: what was expected, and what was found. */
export function expected(what: string) {
  return { error: ({ input }: { readonly input?: unknown }) => withFound(what, input) }
}

function withFound(what: string, input: unknown): string {
  // Messages go to logs: the credentials of a URL are removed.
  return input === undefined ? what : `${what}, found ${valueText(input).replace(/\/\/[^/?#"]*@/, '//…@')}`
}

/** The same schema with the description that editors and the docs table show. */
export function doc<Schema extends z.ZodMiniType>(schema: Schema, text: string): Schema {
  return schema.check(z.describe(text)) as Schema
}

const DURATION_EXPECTED = 'expected a duration such as "250ms", "10s", "5m", "1h" or "1d"'

/** A duration in milliseconds, within `[min, max]` (milliseconds). */
export function duration(min = 1, max = 31 * 86_400_000) {
  const range = expected(`expected a duration from ${durationText(min)} to ${durationText(max)}`)
  return z.pipe(
    z.string(expected(DURATION_EXPECTED)).check(
      z.refine((text) => parseDuration(text) !== undefined, { ...expected(DURATION_EXPECTED), abort: true }),
      z.refine((text) => parseDuration(text)! >= min && parseDuration(text)! <= max, range),
    ),
    z.transform((text: string) => parseDuration(text)!),
  )
}

const SIZE_EXPECTED = 'expected a size such as "512b", "64kb" or "1mb"'

/** A size in bytes, at least one. */
export function size() {
  return z.pipe(
    z.string(expected(SIZE_EXPECTED)).check(z.refine((text) => (parseSize(text) ?? 0) > 0, expected(SIZE_EXPECTED))),
    z.transform((text: string) => parseSize(text)!),
  )
}

/** One of `names`; a name in `later` is part of the format but not supported yet. */
export function choice<const Names extends readonly [string, ...string[]]>(
  names: Names,
  later: readonly string[] = [],
) {
  return z.enum(names, { error: ({ input }) => notAmong(names, input, later) })
}

function notAmong(names: readonly string[], input: unknown, later: readonly string[] = []): string {
  if (typeof input !== 'string') return withFound(expectedOneOf('', names), input)
  if (later.includes(input)) return `"${input}" is not supported yet; ${expectedOneOf('', names)}`
  return withFound(expectedOneOf(input, names, later), input)
}

/** A key that is part of the format but not supported yet: refused if present, never ignored. */
export function notYet() {
  return z.optional(z.never('not supported yet'))
}

/** Whether a schema was made by `notYet`. */
export function isLater(schema: unknown): boolean {
  return schema instanceof z.ZodMiniOptional && schema.def.innerType instanceof z.ZodMiniNever
}

/** A check that refuses lists with equal items, which are mistakes. */
export function distinct<Item extends string | number>() {
  return z.check<Item[]>(({ value, issues }) => {
    value.forEach((item, i) => {
      if (value.indexOf(item) < i)
        issues.push({ code: 'custom', input: value, path: [i], message: `${valueText(item)} stands twice` })
    })
  })
}

const NAME = /^[A-Z_][A-Z0-9_]*$/i

/** A share of a whole, from 0 to 100. */
export const percent = z.number().check(z.gte(0), z.lte(100))

/** A reference to a secret by name; the value is a Worker secret or variable and is never in the file. */
export const secretRef = z.strictObject(
  {
    $secret: doc(
      z.string().check(z.regex(NAME, 'expected the name of a secret, such as "JWT_SECRET"')),
      'The name of the Worker secret that holds it.',
    ),
  },
  'expected { "$secret": "NAME" }: secrets do not stand in routes.json',
)
/** A checked reference to a Worker secret. */
export type SecretRef = z.output<typeof secretRef>

const envRef = z.strictObject({
  $env: doc(
    z.string().check(z.regex(NAME, expected('expected the name of a variable such as "USERS_URL"'))),
    'The name of the variable that holds the URL.',
  ),
})

/** Whether a text holds spaces or control characters, which URL parsers drop or escape: what is written is not what is requested. */
const hasControls = (text: string): boolean => /[\0-\x20\x7f]/.test(text)

/** Whether a text is an absolute http(s) URL without credentials, fragment, spaces or control characters: the URL of one document. */
export function isDocumentUrl(text: string): boolean {
  if (!URL.canParse(text) || hasControls(text)) return false
  const { protocol, username, password } = new URL(text)
  return /^https?:$/.test(protocol) && !username && !password && !text.includes('#')
}

/** Whether a text is a document URL without a query, to which a path can be appended. */
export function isBaseUrl(text: string): boolean {
  return isDocumentUrl(text) && !text.includes('?')
}

const BASE_EXPECTED = 'expected an absolute http(s) URL without credentials, query or fragment, or { "$env": "NAME" }'
const DOCUMENT_EXPECTED = 'expected an absolute http(s) URL without credentials or fragment, or { "$env": "NAME" }'

const urlExpected = (what: string) => ({
  error: ({ input }: { readonly input?: unknown }) =>
    typeof input === 'string' && hasControls(input)
      ? withFound('expected a URL without spaces and control characters', input)
      : withFound(what, input),
})

/** A base URL, or the name of the variable that holds it. */
export const urlOrEnv = z.union(
  [z.string().check(z.refine(isBaseUrl, urlExpected(BASE_EXPECTED))), envRef],
  urlExpected(BASE_EXPECTED),
)
/** The URL of a document, which may have a query, or the name of the variable that holds it. */
export const documentUrlOrEnv = z.union(
  [z.string().check(z.refine(isDocumentUrl, urlExpected(DOCUMENT_EXPECTED))), envRef],
  urlExpected(DOCUMENT_EXPECTED),
)
/** A checked URL, or the variable that will hold one. */
export type UrlOrEnv = z.output<typeof urlOrEnv>

/** The URL as written, or the value of the variable; undefined when that is unset or refused by `isUrl`. */
export function resolveUrl(
  value: UrlOrEnv,
  variable: (name: string) => string | undefined,
  isUrl = isBaseUrl,
): string | undefined {
  if (typeof value === 'string') return value
  const url = variable(value.$env)
  return url !== undefined && isUrl(url) ? url : undefined
}

const headerNameText = z.string().check(z.refine(isHeaderName, expected('expected a header name')))

/** An HTTP field name (RFC 9110 §5.1), lower-cased. */
export const headerName = z.pipe(
  headerNameText,
  z.transform((name: string) => name.toLowerCase()),
)

/** An HTTP field value: printable ASCII. */
export const headerValue = z.string().check(z.refine(isHeaderValue, expected('expected printable ASCII')))

/** A check that refuses an object in which two keys are the same header: one of them would have no effect. */
export function distinctHeaders<Value>() {
  return z.check<Record<string, Value>>(({ value, issues }) => {
    const spellings = new Map<string, string>()
    for (const name of Object.keys(value)) {
      const other = spellings.get(name.toLowerCase())
      if (other === undefined) spellings.set(name.toLowerCase(), name)
      else issues.push({ code: 'custom', input: name, path: [name], message: `"${other}" is the same header` })
    }
  })
}

/** An object that is keyed by header names, each at most once in whatever case; the keys are lower-cased. */
export function headerRecord<Schema extends z.ZodMiniType>(value: Schema) {
  type Value = z.output<Schema>
  return z.pipe(
    z.record(headerNameText, value).check(distinctHeaders<Value>()),
    z.transform((headers: Record<string, Value>) =>
      Object.fromEntries(Object.entries(headers).map(([name, each]) => [name.toLowerCase(), each])),
    ),
  )
}

const CIDR_EXPECTED =
  'expected a network such as "10.0.0.0/8" or "2001:db8::/32", or one address, without leading zeros'

/** A network or one address, as text that `parseCidr` accepts. */
export const cidr = z.string(expected(CIDR_EXPECTED)).check(
  z.refine((text) => parseCidr(text) !== undefined, { ...expected(CIDR_EXPECTED), abort: true }),
  z.refine((text) => withoutHostBits(parseCidr(text)!) === undefined, {
    error: ({ input }) =>
      withFound(
        `the address has bits beyond its prefix; expected "${withoutHostBits(parseCidr(String(input))!)}"`,
        input,
      ),
  }),
)

const methods = [...METHODS, ...EXTENSION_METHODS] as const
/** Why some names are no methods here. */
const NO_METHODS: Readonly<Record<string, string>> = {
  TRACE: '"TRACE" is not supported: an origin repeats the credentials of the request in its response',
  CONNECT: '"CONNECT" is not supported: the runtime opens no tunnels',
  ...Object.fromEntries(
    ['*', 'ANY', 'ALL'].map((name) => [name, `"${name}" names no method: name each, or leave the list out`]),
  ),
}

/** A method that a route may name; every other one gets 501. */
export const method = z.enum(methods, {
  error: ({ input }) => {
    const reason = typeof input === 'string' ? NO_METHODS[input.toUpperCase()] : undefined
    return reason === undefined ? notAmong(methods, input) : `${reason}; ${expectedOneOf('', methods)}`
  },
})
