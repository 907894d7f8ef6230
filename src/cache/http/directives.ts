import { parseDictionary, Token, type BareItem } from 'structured-headers'
import { parseNames, type Fields } from './entry.ts'

/** The directives of a request's Cache-Control (RFC 9111 §5.2.1, RFC 5861 §4), in seconds. */
export interface RequestDirectives {
  readonly noCache: boolean
  readonly noStore: boolean
  readonly onlyIfCached: boolean
  readonly maxAge?: number
  /** `Infinity` for stale responses of any age. */
  readonly maxStale?: number
  readonly minFresh?: number
  readonly staleIfError?: number
}

/** A response's directives for a shared cache (RFC 9111 §5.2.2, RFC 5861), in seconds. */
export interface ResponseDirectives {
  readonly noStore: boolean
  /** Without a list of fields, or with an invalid one; the same holds for `private`. */
  readonly noCache: boolean
  readonly private: boolean
  /** Names of fields that `no-cache="…"` and `private="…"` exclude from a shared cache. */
  readonly unsharedFields: readonly string[]
  readonly public: boolean
  readonly mustRevalidate: boolean
  readonly proxyRevalidate: boolean
  readonly mustUnderstand: boolean
  readonly maxAge?: number
  readonly sMaxage?: number
  /** A valid s-maxage: only that allows to share the response (RFC 9111 §3.5). */
  readonly hasSoundSMaxage: boolean
  readonly staleWhileRevalidate?: number
  readonly staleIfError?: number
  /** Whether they come from CDN-Cache-Control: then neither Cache-Control nor Expires counts (RFC 9213 §2.2). */
  readonly isTargeted: boolean
}

const NO_DIRECTIVES: Directives = new Map()

/** More seconds than this are this many (RFC 9111 §1.2.2). */
const MOST_SECONDS = 2 ** 31

/** For requests whose directives are ignored, which a cache may do (RFC 9111 §5.2.1). */
export const NO_REQUEST_DIRECTIVES: RequestDirectives = { noCache: false, noStore: false, onlyIfCached: false }

/** A request's directives; `Pragma: no-cache` counts where there is no Cache-Control (RFC 9111 §5.4). */
export function requestDirectives(request: Fields): RequestDirectives {
  const text = request.get('cache-control')
  if (text === null) {
    const pragma = request.get('pragma')
    return pragma !== null && parseDirectives(pragma).has('no-cache')
      ? { ...NO_REQUEST_DIRECTIVES, noCache: true }
      : NO_REQUEST_DIRECTIVES
  }
  const all = parseDirectives(text)
  return {
    noCache: all.has('no-cache'),
    noStore: all.has('no-store'),
    onlyIfCached: all.has('only-if-cached'),
    ...(all.has('max-age') && { maxAge: seconds(all, 'max-age') }),
    ...(all.has('max-stale') && {
      maxStale: all.get('max-stale')!.form === 'none' ? Infinity : seconds(all, 'max-stale'),
    }),
    ...(all.has('min-fresh') && { minFresh: seconds(all, 'min-fresh') }),
    ...(all.has('stale-if-error') && { staleIfError: seconds(all, 'stale-if-error') }),
  }
}

/** A response's directives: those of CDN-Cache-Control when it is a non-empty dictionary, else those of Cache-Control (RFC 9213 §2.2). */
export function responseDirectives(response: Fields): ResponseDirectives {
  const targeted = parseTargeted(response.get('cdn-cache-control'))
  const text = response.get('cache-control')
  const all = targeted ?? (text === null ? NO_DIRECTIVES : parseDirectives(text))
  const [isPrivate, privateFields] = fieldList(all, 'private')
  const [noCache, noCacheFields] = fieldList(all, 'no-cache')
  return {
    noStore: all.has('no-store'),
    noCache,
    private: isPrivate,
    unsharedFields: [...privateFields, ...noCacheFields],
    public: all.get('public')?.form === 'none',
    mustRevalidate: all.has('must-revalidate'),
    proxyRevalidate: all.has('proxy-revalidate'),
    mustUnderstand: all.get('must-understand')?.form === 'none',
    hasSoundSMaxage: isSeconds(all.get('s-maxage')),
    ...(all.has('max-age') && { maxAge: seconds(all, 'max-age') }),
    ...(all.has('s-maxage') && { sMaxage: seconds(all, 's-maxage') }),
    ...(all.has('stale-while-revalidate') && { staleWhileRevalidate: seconds(all, 'stale-while-revalidate') }),
    ...(all.has('stale-if-error') && { staleIfError: seconds(all, 'stale-if-error') }),
    isTargeted: targeted !== undefined,
  }
}

const isSeconds = (argument: Argument | undefined) =>
  argument !== undefined && argument.form !== 'broken' && /^\d+$/.test(argument.text)

/** 0 for an argument that is not a number: invalid freshness is stale (RFC 9111 §4.2.1). */
function seconds(all: Directives, name: string): number {
  const argument = all.get(name)
  return isSeconds(argument) ? Math.min(Number(argument!.text), MOST_SECONDS) : 0
}

/**
 * Whether a directive applies to the whole response, and otherwise to which fields. Only a quoted list counts as one: `private=true`
 * more likely means `private` than a field named true.
 */
function fieldList(all: Directives, name: string): [whole: boolean, fields: readonly string[]] {
  const argument = all.get(name)
  if (argument === undefined) return [false, []]
  const fields = argument.form === 'quoted' ? parseNames(argument.text) : undefined
  return fields === undefined || fields.length === 0 ? [true, []] : [false, fields]
}

/** The argument after a directive's `=`. `broken`: malformed, or one of several that differ. */
export interface Argument {
  readonly form: 'none' | 'token' | 'quoted' | 'broken'
  readonly text: string
}
/** Arguments by the lower-case name of their directive. */
export type Directives = ReadonlyMap<string, Argument>

const NONE: Argument = { form: 'none', text: '' }
const BROKEN: Argument = { form: 'broken', text: '' }

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+"
const SOUND = new RegExp(String.raw`[\t ]*(?:(${TOKEN})(?:=(?:(${TOKEN})|"((?:[^"\\]|\\.)*)"))?[\t ]*)?(?:,|$)`, 'sy')
const MALFORMED = /([^,"]*)(?:,|$)/y
const EVERY_TOKEN = new RegExp(TOKEN, 'g')

/**
 * The directives of a field by lower-case name. A malformed part can only forbid: its words are directives without a usable
 * argument, and so is all the rest after a misplaced quote, because what is quoted is unknown there.
 */
function parseDirectives(text: string): Directives {
  const all = new Map<string, Argument>()
  let at = 0
  while (at < text.length) {
    SOUND.lastIndex = at
    const sound = SOUND.exec(text)
    if (sound !== null) {
      const [, name, token, quoted] = sound
      if (name !== undefined) add(all, name, argumentOf(token, quoted))
      at = SOUND.lastIndex
      continue
    }
    MALFORMED.lastIndex = at
    const malformed = MALFORMED.exec(text)
    for (const [name] of (malformed?.[1] ?? text.slice(at)).matchAll(EVERY_TOKEN)) add(all, name, BROKEN)
    at = malformed === null ? text.length : MALFORMED.lastIndex
  }
  return all
}

function argumentOf(token: string | undefined, quoted: string | undefined): Argument {
  if (token !== undefined) return { form: 'token', text: token }
  return quoted === undefined ? NONE : { form: 'quoted', text: quoted.replaceAll(/\\(.)/gs, '$1') }
}

function add(all: Map<string, Argument>, name: string, argument: Argument): void {
  const key = name.toLowerCase()
  const before = all.get(key)
  const isSame = before === undefined || (before.form === argument.form && before.text === argument.text)
  all.set(key, isSame ? argument : BROKEN)
}

/** A targeted field's directives (RFC 9213 §2.1); undefined when there are none or it cannot be parsed: an invalid field is ignored. */
function parseTargeted(text: string | null): Directives | undefined {
  if (text === null) return undefined
  try {
    const dictionary = parseDictionary(text)
    if (dictionary.size === 0) return undefined
    return new Map(
      [...dictionary].map(([name, [value]]) => [name, Array.isArray(value) ? BROKEN : targetedArgument(name, value)]),
    )
  } catch {
    return undefined
  }
}

/** Seconds are an Integer and lists of fields a String; values of another type are ignored. */
function targetedArgument(name: string, value: BareItem): Argument {
  if (value === true) return NONE
  if (typeof value === 'number') return { form: 'token', text: String(value) }
  if (typeof value === 'string') return /^(?:private|no-cache)$/.test(name) ? { form: 'quoted', text: value } : BROKEN
  return value instanceof Token ? { form: 'token', text: value.toString() } : BROKEN
}
