/** The strings of an array, or a string as the only one; none of anything else. */
export function claimNames(value: unknown): string[] {
  return [value].flat().filter((item) => typeof item === 'string')
}

/** As `claimNames`, but a string is cut at its spaces, as the `scope` claim wants it (RFC 8693 §4.2). */
export function claimWords(value: unknown): string[] {
  return typeof value === 'string' ? value.split(' ').filter((word) => word !== '') : claimNames(value)
}
