/** The stored parts of a response besides its body; plain data, so that every tier can serialize it. */
export interface StoredHead {
  /** The format of this record; a reader drops unknown formats. */
  readonly v: 1
  readonly status: number
  /** The origin's fields that may be stored (RFC 9111 §3.1), names in lower case, in the origin's order. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** When the request was sent, and when its response arrived: epoch milliseconds (RFC 9111 §4.2.3). */
  readonly requestTime: number
  readonly responseTime: number
  /** Scheme, host, path and keyed query of the client's request, for purges by URL and by prefix. */
  readonly url: string
  readonly tags: readonly string[]
  /** The values of the fields that select it (`selectingNames`), from the request for this response. */
  readonly selecting?: Selection
  /** The offsets of the first and last stored byte where the body is only a part; status and headers are those of the whole (RFC 9111 §3.3). */
  readonly part?: { readonly first: number; readonly last: number }
  /** Epoch milliseconds after which no tier needs to keep it: the freshness lifetime plus the allowed stale times. */
  readonly keepUntil: number
}

/** A stored response with its body, which can be read once. */
export interface StoredResponse {
  readonly head: StoredHead
  /** Null when it has no bytes. */
  readonly body: ReadableStream<Uint8Array> | null
  /** The body where it is in memory; each access of `body` then makes another stream, which need not be read. */
  readonly bytes?: Uint8Array<ArrayBuffer>
}

/** Header fields to read by lower-case name, all lines of one name joined with commas (RFC 9110 §5.3); `Headers` are such. */
export interface Fields {
  get(name: string): string | null
}

/** The fields of a stored response. */
export function fieldsOf(headers: StoredHead['headers']): Fields {
  return {
    get(name) {
      let value: string | null = null
      for (const [other, text] of headers) if (other === name) value = value === null ? text : `${value}, ${text}`
      return value
    },
  }
}

/** The fields of a record by lower-case name that has no prototype. */
export const fieldsOfRecord = (headers: Readonly<Record<string, string>>): Fields => ({
  get: (name) => headers[name] ?? null,
})

/** The members of a list of names in lower case (RFC 9110 §5.6.1), empty ones left out; undefined when one of them is no token. */
export function parseNames(list: string): string[] | undefined {
  const names = list.split(',').map((name) => name.trim().toLowerCase())
  const found = names.filter((name) => name !== '')
  return found.every((name) => /^[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(name)) ? found : undefined
}

/** The fields in Vary with a request's values, in the order of the names; null where it has none. */
export type Selection = readonly (readonly [name: string, value: string | null])[]

/** Fields whose members are compared without case and surrounding white space (RFC 9110 §12.5). */
const NEGOTIATION = /^accept(?:-charset|-encoding|-language)?$/
/** One member in its normal form, the most frequent value: no upper case, white space, quote or comma. */
const PLAIN_MEMBER = /^[!#-+\--@[-~]*$/

/** The fields by which a response varies: lower case, sorted, each once. `*` also for an invalid Vary. */
export function varyNames(response: Fields): readonly string[] | '*' {
  const text = response.get('vary')
  if (text === null) return []
  const names = parseNames(text)
  return names === undefined || names.includes('*') ? '*' : [...new Set(names)].toSorted()
}

/**
 * The fields that select among the stored responses of a key: those of Vary, and Accept-Encoding, because some origins compress without
 * naming it in Vary.
 */
export function selectingNames(answer: Fields): readonly string[] | '*' {
  const names = varyNames(answer)
  return names === '*' || names.includes('accept-encoding') ? names : [...names, 'accept-encoding'].toSorted()
}

/**
 * Whether a stored response is the one that a request selects. One without a content coding, whose origin does not vary by Accept-Encoding,
 * also serves requests that accept no coding, and ranges: clients request these with another Accept-Encoding than the whole.
 */
export function isSelected({ headers, selecting = [] }: StoredHead, request: Fields): boolean {
  if (matchesSelection(selecting, request)) return true
  if (request.get('accept-encoding') !== null && request.get('range') === null) return false
  const fields = fieldsOf(headers)
  if (fields.get('content-encoding') !== null || varyNames(fields).includes('accept-encoding')) return false
  const others = selecting.filter(([name]) => name !== 'accept-encoding')
  return others.length < selecting.length && matchesSelection(others, request)
}

/** A request's values of the named fields, normalised as RFC 9111 §4.1 allows. */
export function selectionOf(names: readonly string[], request: Fields): Selection {
  return names.map((name) => {
    const value = request.get(name)
    return [name, value === null ? null : normalValue(name, value)]
  })
}

/** A text that is equal for equal selections only; `''` for an empty selection. */
export const selectionKey = (selection: Selection): string => (selection.length === 0 ? '' : JSON.stringify(selection))

/** Whether the request for a stored response matches this one in all fields of Vary (RFC 9111 §4.1). */
export function matchesSelection(selection: Selection | undefined, request: Fields): boolean {
  if (selection === undefined) return true
  return selection.every(([name, value]) => {
    const other = request.get(name)
    return value === null || other === null ? value === other : value === normalValue(name, other)
  })
}

/**
 * The value of a request field in the form in which it is compared (RFC 9111 §4.1): the members of a negotiation field without case and white
 * space, sorted, because preferences are told by `q`. A field with a quoted string is only trimmed.
 */
export function normalValue(name: string, value: string): string {
  if (PLAIN_MEMBER.test(value)) return value
  if (!NEGOTIATION.test(name) || value.includes('"')) return value.trim()
  const members = value
    .toLowerCase()
    .split(',')
    .map((member) => tight(member, ';'))
  return members
    .filter((member) => member !== '')
    .toSorted()
    .join(',')
}

const tight = (text: string, separator: string) =>
  text
    .split(separator)
    .map((part) => part.trim())
    .join(separator)
