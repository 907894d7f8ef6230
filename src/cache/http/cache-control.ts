import { parseDictionary, Token, type BareItem } from 'structured-headers'

/** What stands behind a directive's `=`. `broken` is what is malformed, or one of several that differ. */
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
 * The directives of a field by lower-case name. What is malformed can only forbid: its words are directives without a usable
 * argument, and after a quote out of place, where nobody knows what is quoted, so is all the rest.
 */
export function parseDirectives(text: string): Directives {
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

/** A targeted field's directives (RFC 9213 §2.1); undefined when there are none or it cannot be parsed, as if it were not there. */
export function parseTargeted(text: string | null): Directives | undefined {
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

/** Seconds are an Integer and lists of fields a String; of another type they are not to be consumed. */
function targetedArgument(name: string, value: BareItem): Argument {
  if (value === true) return NONE
  if (typeof value === 'number') return { form: 'token', text: String(value) }
  if (typeof value === 'string') return /^(?:private|no-cache)$/.test(name) ? { form: 'quoted', text: value } : BROKEN
  return value instanceof Token ? { form: 'token', text: value.toString() } : BROKEN
}
