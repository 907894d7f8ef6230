import { serializeItem, type Item } from 'structured-headers'

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
export const PLAIN_DERIVED = [
  '@method',
  '@target-uri',
  '@authority',
  '@scheme',
  '@request-target',
  '@path',
  '@query',
] as const

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
  // The bytes as they came, or the value as it was meant: not both (RFC 9421 §2.1).
  return !(parameters.has('bs') && (parameters.has('sf') || parameters.has('key')))
}
