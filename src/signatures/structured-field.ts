import {
  parseDictionary,
  parseItem,
  parseList,
  serializeDictionary,
  serializeItem,
  serializeList,
  type Dictionary,
} from 'structured-headers'

/** The longest structured field that is parsed, in characters. */
const MAX_LENGTH = 8 * 1024

/**
 * A dictionary (RFC 9651 §3.2) as its sender must have written it; undefined unless the text is its canonical form but for
 * optional white space. A parser takes the last of two members or parameters of one name. A recipient that takes the first would read another
 * message than the one that was verified.
 */
export function parseStrictDictionary(text: string): Dictionary | undefined {
  if (text.length > MAX_LENGTH) return undefined
  try {
    const dictionary = parseDictionary(text)
    return tight(serializeDictionary(dictionary)) === tight(text) ? dictionary : undefined
  } catch {
    return undefined
  }
}

/** The text without the spaces and tabs outside its strings. */
function tight(text: string): string {
  return text.replaceAll(/("(?:[^"\\]|\\.)*")|[ \t]+/g, (_, quoted: string | undefined) => quoted ?? '')
}

type FieldType = 'dictionary' | 'list' | 'item'

/** The structured fields that a signature may cover with `sf`; the canonical form of any other field is unknown. */
const FIELD_TYPES: Readonly<Record<string, FieldType>> = {
  'accept-ch': 'list',
  'accept-signature': 'dictionary',
  'cache-status': 'list',
  'cdn-cache-control': 'dictionary',
  'client-cert': 'item',
  'client-cert-chain': 'list',
  'content-digest': 'dictionary',
  priority: 'dictionary',
  'proxy-status': 'list',
  'repr-digest': 'dictionary',
  signature: 'dictionary',
  'signature-input': 'dictionary',
  'want-content-digest': 'dictionary',
  'want-repr-digest': 'dictionary',
}

const RESERIALIZE: Readonly<Record<FieldType, (value: string) => string>> = {
  dictionary: (value) => serializeDictionary(parseDictionary(value)),
  list: (value) => serializeList(parseList(value)),
  item: (value) => serializeItem(parseItem(value)),
}

/** A structured field's value in its canonical form (RFC 9421 §2.1.1); undefined when it is malformed or of an unknown type. */
export function canonicalField(name: string, value: string): string | undefined {
  const type = Object.hasOwn(FIELD_TYPES, name) ? FIELD_TYPES[name] : undefined
  if (type === undefined || value.length > MAX_LENGTH) return undefined
  try {
    return RESERIALIZE[type](value)
  } catch {
    return undefined
  }
}

/** One member of a dictionary field in its canonical form (RFC 9421 §2.1.2); undefined when there is no such member. */
export function canonicalMember(value: string, key: string): string | undefined {
  const member = parseStrictDictionary(value)?.get(key)
  if (member === undefined) return undefined
  const [bare, parameters] = member
  return Array.isArray(bare) ? serializeList([[bare, parameters]]) : serializeItem([bare, parameters])
}
