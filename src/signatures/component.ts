import { serializeItem, type Item } from 'structured-headers'
import { canonicalField, canonicalMember } from './structured-field.ts'

/** One component that a signature covers (RFC 9421 §2): a field or a derived component, with its parameters. */
export interface Component {
  /** A field's name in lower case, or a derived component's with its `@`. */
  readonly name: string
  /** The identifier as it stands in the signature base: name in quotes, and parameters. */
  readonly id: string
  readonly parameters: ReadonlyMap<string, string | true>
}

/** The same text for components that are the same one: in which order their parameters stand makes no difference (RFC 9421 §2). */
export function componentKey({ name, parameters }: Component): string {
  return JSON.stringify([name, ...[...parameters].toSorted(([a], [b]) => (a < b ? -1 : 1))])
}

/** The derived components of requests that take no parameter (RFC 9421 §2.2). */
const PLAIN_DERIVED = ['@method', '@target-uri', '@authority', '@scheme', '@request-target', '@path', '@query'] as const

const DERIVED: ReadonlySet<string> = new Set([...PLAIN_DERIVED, '@query-param', '@status'])
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9a-z]+$/
/** Parameters without a value. `req` speaks of the request that a response answers: a request has none. */
const FLAGS: ReadonlySet<string> = new Set(['sf', 'bs', 'tr'])

/** Whether a lower-case text names a component that every request can have, without parameters. */
export function isPlainComponent(name: string): boolean {
  return name.startsWith('@') ? (PLAIN_DERIVED as readonly string[]).includes(name) : FIELD_NAME.test(name)
}

/** A covered component; undefined when its name or a parameter is unknown, or its parameters contradict each other. */
export function parseComponent(item: Item): Component | undefined {
  const [name, parameters] = item
  if (typeof name !== 'string') return undefined
  for (const [key, value] of parameters) {
    const fits = key === 'key' || key === 'name' ? typeof value === 'string' : FLAGS.has(key) && value === true
    if (!fits) return undefined
  }
  const known = name.startsWith('@') ? isDerived(name, parameters) : isField(name, parameters)
  return known ? { name, id: serializeItem(item), parameters: parameters as Map<string, string | true> } : undefined
}

/** A component without parameters. */
export function plainComponent(name: string): Component {
  return { name, id: `"${name}"`, parameters: NO_PARAMETERS }
}

const NO_PARAMETERS: ReadonlyMap<string, string | true> = new Map()

type Keys = Pick<ReadonlyMap<string, unknown>, 'has' | 'size'>

function isDerived(name: string, parameters: Keys): boolean {
  const wanted = name === '@query-param' ? 1 : 0
  return DERIVED.has(name) && parameters.size === wanted && (wanted === 0 || parameters.has('name'))
}

function isField(name: string, parameters: Keys): boolean {
  if (!FIELD_NAME.test(name) || parameters.has('name')) return false
  // The received bytes (`bs`) or the parsed value (`sf`, `key`), not both (RFC 9421 §2.1).
  return !(parameters.has('bs') && (parameters.has('sf') || parameters.has('key')))
}

/** A component's value in the signature base (RFC 9421 §2); undefined when the message has none, or none that is unambiguous. */
export function componentValue(component: Component, message: Message): string | undefined {
  const { name, parameters } = component
  const value = name.startsWith('@') ? derivedValue(component, message) : fieldValue(name, parameters, message)
  // A line end would begin another line of the base, and two parties may read bytes beyond ASCII differently.
  return value !== undefined && /^[\x20-\x7e\t]*$/.test(value) ? value : undefined
}

function derivedValue({ name, parameters }: Component, message: Message): string | undefined {
  const { method, scheme, authority, path, search, status } = message
  if (name === '@status') return status === undefined ? undefined : String(status)
  if (status !== undefined) return undefined
  switch (name) {
    case '@method':
      return method
    case '@scheme':
      return scheme
    case '@path':
      return path
    case '@query':
      return search || '?'
    case '@request-target':
      return path + search
    case '@authority':
      return authority || undefined
    case '@target-uri':
      return authority && `${scheme}://${authority}${path}${search}`
    case '@query-param':
      return queryParameter(search, parameters.get('name') as string)
    default:
      return undefined
  }
}

/** The value of a query parameter by its encoded name (RFC 9421 §2.2.8); undefined for a name that occurs twice. */
function queryParameter(search: string, name: string): string | undefined {
  const found = [...new URLSearchParams(search)].filter(([key]) => encodeParameter(key) === name)
  // Bytes that are not UTF-8 all decode to the same character, so one value could replace another.
  return found.length === 1 && !found[0]!.join('').includes('\ufffd') ? encodeParameter(found[0]![1]) : undefined
}

/** Everything escaped but what the application/x-www-form-urlencoded percent-encode set leaves; a space is `%20`. */
function encodeParameter(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replaceAll(
    /[!'()~]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

function fieldValue(name: string, parameters: Component['parameters'], message: Message): string | undefined {
  // The runtime provides no trailers, so they cannot be covered. White space is space and tab (RFC 9110 §5.6.3), not everything that `trim` removes.
  const value = parameters.has('tr') ? undefined : message.field(name)?.replaceAll(/^[ \t]+|[ \t]+$/g, '')
  if (value === undefined) return undefined
  const key = parameters.get('key')
  if (typeof key === 'string') return canonicalMember(value, key)
  if (parameters.has('sf')) return canonicalField(name, value)
  // Lines of one name arrive as one value: they cannot be distinguished, and a signature over them does not match (RFC 9421 §2.1.3).
  if (parameters.has('bs')) return /^[\x20-\x7e\t]*$/.test(value) ? `:${btoa(value)}:` : undefined
  return value
}

/** The parts of a message that a signature can cover; a request has all but `status`, a response only that and the fields. */
export interface Message {
  readonly method: string
  readonly scheme: 'http' | 'https'
  /** Lower case, without the scheme's own port; `''` where the sender named none. */
  readonly authority: string
  /** As sent, with its escapes; never empty. */
  readonly path: string
  /** `''`, or the query with its `?`. */
  readonly search: string
  /** The lines of one field, by lower-case name, joined by `, `. */
  readonly field: (name: string) => string | undefined
  readonly status?: number
}
