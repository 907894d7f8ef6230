/** Whether a text can be a header's name: a token (RFC 9110 §5.6.2), in any case. */
export const isHeaderName = (text: string): boolean => /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text)

const PLAIN_NAME = /^[a-z0-9-]+$/

/** The spelling that stands for all that a server which maps header names to variables (CGI, WSGI) cannot tell apart: `X_Debug` is `x-debug`. */
export const canonicalName = (name: string): string =>
  PLAIN_NAME.test(name) ? name : name.toLowerCase().replaceAll(/[^a-z0-9]/g, '-')

/** Whether a text can be a header's value that everyone reads alike: printable ASCII, as RFC 9110 §5.5 advises. The runtime throws on line ends. */
export const isHeaderValue = (text: string): boolean => /^[\x20-\x7e]*$/.test(text)

/** Whether a lower-case name is of one connection and not of the message (RFC 9110 §7.6.1), or of its framing: the runtime writes these itself. */
export const isConnectionHeader = (name: string): boolean =>
  /^(?:connection|keep-alive|te|trailer|transfer-encoding|content-length|upgrade|proxy-.*)$/.test(name)

/** Whether a value that was received held bytes that are no UTF-8: the runtime reads each as U+FFFD. */
export const isOpaque = (value: string): boolean => value.includes('\ufffd')

/** One change to a message's headers; a removal has no use for its `value`. */
interface HeaderChange {
  readonly op: 'set' | 'append' | 'remove'
  readonly name: string
  readonly value: string
}

/** Makes one change to `headers`, which must be mutable. */
export function applyHeaderChange(headers: Headers, { op, name, value }: HeaderChange): void {
  if (op === 'set') headers.set(name, value)
  else if (op === 'append') headers.append(name, value)
  else headers.delete(name)
}

/** Makes one change to fields by lower-case name; values beside each other are one list (RFC 9110 §5.3), of cookies too (RFC 6265 §4.2.1). */
export function applyFieldChange(fields: Record<string, string>, { op, name, value }: HeaderChange): void {
  const before = op === 'append' && Object.hasOwn(fields, name) ? fields[name] : undefined
  if (op === 'remove') delete fields[name]
  else fields[name] = before === undefined ? value : `${before}${name === 'cookie' ? '; ' : ', '}${value}`
}

/**
 * A value for a header field: printable ASCII as it is, everything else percent-encoded UTF-8, so that nothing can end the line.
 * `%` and outer spaces are encoded too: no two values look the same to the origin, and `decodeURIComponent` gives the value back.
 */
export function encodeHeaderValue(value: string): string {
  if (!/[^!-$&-~]/.test(value)) return value
  return value.toWellFormed().replace(/^ | $|%|[^\x20-\x7e]+/gu, (text) => encodeURIComponent(text))
}
