/** The object identifiers behind the names of attribute types (RFC 4514 §3, RFC 4519, and `emailAddress` of PKCS #9). */
const TYPES: Readonly<Record<string, string>> = {
  cn: '2.5.4.3',
  sn: '2.5.4.4',
  serialnumber: '2.5.4.5',
  c: '2.5.4.6',
  l: '2.5.4.7',
  st: '2.5.4.8',
  s: '2.5.4.8',
  street: '2.5.4.9',
  o: '2.5.4.10',
  ou: '2.5.4.11',
  title: '2.5.4.12',
  uid: '0.9.2342.19200300.100.1.1',
  dc: '0.9.2342.19200300.100.1.25',
  emailaddress: '1.2.840.113549.1.9.1',
  e: '1.2.840.113549.1.9.1',
}

/** A longer text is refused: names in use are shorter, and parsing costs time. */
const MAX_CHARS = 1024

/** A character of a value that is no space, or an escape (RFC 4514 §3). */
const CHAR = String.raw`(?:[^\\",+;<>\0 ]|\\[ "#+,;<=>\\]|\\[0-9A-Fa-f]{2})`
const TYPE = String.raw`[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)*`
/** One attribute and its separator from the next. No two parts of the expression match the same space, so it does not backtrack. */
const ATTRIBUTE = new RegExp(
  String.raw` *(${TYPE}) *= *(?:#((?:[0-9A-Fa-f]{2})+)|(?!#)(${CHAR}+(?: +${CHAR}+)*)?) *(,|\+|$)`,
  'y',
)

/**
 * A distinguished name (RFC 4514) in a form that is equal for equal names: type names in any case or as numbers, spaces around separators,
 * spellings of escapes, and the order within a multi-valued part make no difference. The order of parts and the case of values do: X.520 would
 * ignore case, but a comparison that is too lax accepts a wrong certificate. Undefined for text that is no such name, and for the empty name.
 */
export function parseDistinguishedName(text: string): string | undefined {
  if (text.length > MAX_CHARS) return undefined
  const parts: string[] = []
  let attributes: string[] = []
  ATTRIBUTE.lastIndex = 0
  while (true) {
    const [found, type, ber, escaped = '', separator] = ATTRIBUTE.exec(text) ?? []
    const value = ber === undefined ? unescaped(escaped) : [ber.toLowerCase()]
    if (found === undefined || value === undefined) return undefined
    const name = type!.toLowerCase()
    attributes.push(JSON.stringify([TYPES[name] ?? name, value]))
    if (separator === '+') continue
    parts.push(JSON.stringify(attributes.toSorted()))
    attributes = []
    if (separator === '') return parts.join()
  }
}

/** The value without its escapes; undefined when the escaped bytes are not UTF-8. */
function unescaped(text: string): string | undefined {
  const uri = text.replace(/\\([0-9A-Fa-f]{2})|\\(.)|[^\\]+/gs, (plain, hex?: string, char?: string) =>
    hex === undefined ? encodeURIComponent((char ?? plain).toWellFormed()) : `%${hex}`,
  )
  try {
    return decodeURIComponent(uri)
  } catch {
    return undefined
  }
}
