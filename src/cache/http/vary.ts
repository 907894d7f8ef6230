import { parseNames, type Fields } from './fields.ts'

/** The fields that Vary names with what a request has of them, in the order of the names; null where it has none. */
export type Selection = readonly (readonly [name: string, value: string | null])[]

/** Fields whose members are told apart neither by their case nor by the white space around them (RFC 9110 §12.5). */
const NEGOTIATION = /^accept(?:-charset|-encoding|-language)?$/

/** The fields that an answer varies by: lower case, sorted, each once. `*` also when the field cannot be read. */
export function varyNames(answer: Fields): readonly string[] | '*' {
  const text = answer.get('vary')
  if (text === null) return []
  const names = parseNames(text)
  return names === undefined || names.includes('*') ? '*' : [...new Set(names)].toSorted()
}

/** What a request has of the named fields, normalised as RFC 9111 §4.1 allows. */
export function selectionOf(names: readonly string[], request: Fields): Selection {
  return names.map((name) => {
    const value = request.get(name)
    return [name, value === null ? null : normalise(name, value)]
  })
}

/** A text that two selections share only when they are equal; `''` for that of no field. */
export const selectionKey = (selection: Selection): string => (selection.length === 0 ? '' : JSON.stringify(selection))

/** Whether a stored answer was brought by a request that is like this one in all that Vary names (RFC 9111 §4.1). */
export function matchesSelection(selection: Selection | undefined, request: Fields): boolean {
  if (selection === undefined) return true
  return selection.every(([name, value]) => {
    const other = request.get(name)
    return value === null || other === null ? value === other : value === normalise(name, other)
  })
}

/** The order of members stays: it may be read as a preference. So does what is quoted. */
function normalise(name: string, value: string): string {
  if (!NEGOTIATION.test(name) || value.includes('"')) return value.trim()
  const members = value
    .toLowerCase()
    .split(',')
    .map((member) => tight(member, ';'))
  return members.filter((member) => member !== '').join(',')
}

const tight = (text: string, separator: string) =>
  text
    .split(separator)
    .map((part) => part.trim())
    .join(separator)
