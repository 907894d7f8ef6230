import type { Component } from './component.ts'
import type { Message } from './message.ts'
import { canonicalField, canonicalMember } from './structured-field.ts'

/** A component's value in the signature base (RFC 9421 §2); undefined when the message has none, or none that is unambiguous. */
export function componentValue(component: Component, message: Message): string | undefined {
  const { name, parameters } = component
  const value = name.startsWith('@') ? derivedValue(component, message) : fieldValue(name, parameters, message)
  // A line end would be another line of the base; anything beyond ASCII is not what two parties read alike.
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

/** The one value of a query parameter by its encoded name (RFC 9421 §2.2.8); a name that comes twice has no one value. */
function queryParameter(search: string, name: string): string | undefined {
  const found = [...new URLSearchParams(search)].filter(([key]) => encodeParameter(key) === name)
  // Bytes that are no UTF-8 all decode to the same character: one value could be put in place of another.
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
  // The runtime shows no trailers, so that nothing covers them. White space is of two kinds (RFC 9110 §5.6.3), not of the many that `trim` knows.
  const value = parameters.has('tr') ? undefined : message.field(name)?.replaceAll(/^[ \t]+|[ \t]+$/g, '')
  if (value === undefined) return undefined
  const key = parameters.get('key')
  if (typeof key === 'string') return canonicalMember(value, key)
  if (parameters.has('sf')) return canonicalField(name, value)
  // Lines of one name arrive as one: several of them are not told apart, and a signature over them does not match (RFC 9421 §2.1.3).
  if (parameters.has('bs')) return /^[\x20-\x7e\t]*$/.test(value) ? `:${btoa(value)}:` : undefined
  return value
}
