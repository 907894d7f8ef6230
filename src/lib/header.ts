/** Whether a text can be a header's name: a token (RFC 9110 §5.6.2), in any case. `__proto__` cannot: an object by name does not hold it. */
export const isHeaderName = (text: string): boolean =>
  /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text) && text.toLowerCase() !== '__proto__'

const PLAIN_NAME = /^[a-z0-9]+(?:-[a-z0-9]+)*$/

/**
 * The common form of names that some servers do not distinguish, because they map header names to variables (CGI, WSGI) or trim them:
 * `x-debug` for `X_Debug`, `X-_Debug` and `-X-Debug'`.
 */
export const canonicalHeaderName = (name: string): string =>
  PLAIN_NAME.test(name)
    ? name
    : name
        .toLowerCase()
        .replaceAll(/[^a-z0-9]+/g, '-')
        .replaceAll(/^-|-$/g, '')

/** Whether a text is a header value that all implementations read alike: printable ASCII, as RFC 9110 §5.5 advises. The runtime throws on line ends. */
export const isHeaderValue = (text: string): boolean => /^[\x20-\x7e]*$/.test(text)

/** Whether a lower-case name belongs to one connection (RFC 9110 §7.6.1) or to message framing; the runtime writes these itself. */
export const isConnectionHeader = (name: string): boolean =>
  /^(?:connection|keep-alive|te|trailer|transfer-encoding|content-length|upgrade|proxy-.*)$/.test(name)

/** Whether a received value held bytes that are not UTF-8: the runtime reads each as U+FFFD. */
export const isOpaque = (value: string): boolean => value.includes('\ufffd')

/** One change to the headers of a message; a removal ignores `value`. */
interface HeaderChange {
  readonly op: 'set' | 'append' | 'remove'
  readonly name: string
  readonly value: string
}

/** Whether a list holds an item, in any case. */
const hasItem = (list: string | null, item: string): boolean =>
  list?.split(',').some((other) => other.trim().toLowerCase() === item.toLowerCase()) === true

/** Applies one change to `headers`, which must be mutable. A name that Vary lists already is not appended again. */
export function applyHeaderChange(headers: Headers, { op, name, value }: HeaderChange): void {
  if (op === 'set') headers.set(name, value)
  else if (op === 'append') {
    if (name !== 'vary' || !hasItem(headers.get(name), value)) headers.append(name, value)
  } else headers.delete(name)
}

/** Applies one change to fields by lower-case name. Appended values form a list (RFC 9110 §5.3), those of Cookie with `; ` (RFC 6265 §4.2.1). */
export function applyFieldChange(fields: Record<string, string>, { op, name, value }: HeaderChange): void {
  const before = op === 'append' && Object.hasOwn(fields, name) ? fields[name] : undefined
  if (op === 'remove') delete fields[name]
  else fields[name] = before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`
}

/**
 * A value for a header field: printable ASCII as it is, everything else percent-encoded UTF-8, so that no value can end the line.
 * `%` and outer spaces are encoded too: two values are never encoded alike, and `decodeURIComponent` restores the value.
 */
export function encodeHeaderValue(value: string): string {
  if (!/[^!-$&-~]/.test(value)) return value
  return value.toWellFormed().replace(/^ | $|%|[^\x20-\x7e]+/gu, (text) => encodeURIComponent(text))
}
