import { nearest } from '../lib/nearest.ts'

/** One thing that is wrong with a routes.json. */
export interface Complaint {
  /** Where: object keys and array indexes from the root (or from the policy, in a policy's own check). */
  readonly path: readonly (string | number)[]
  /** What was expected there, and what was found. */
  readonly message: string
}

/** `expected one of a, b; did you mean "a"?`: the end of every message about an unknown name. */
export function expectedOneOf(found: string, valid: readonly string[]): string {
  const guess = nearest(found, valid)
  const list = valid.length > 0 ? `expected one of ${valid.map((name) => `"${name}"`).join(', ')}` : 'none exists'
  return guess === undefined ? list : `did you mean "${guess}"? (${list})`
}

/** `routes[3].policies.rateLimit[0]`: a path as a person writes it; the root is `$`. */
export function pathText(path: readonly (string | number)[]): string {
  const text = path.map((part) =>
    typeof part === 'number' ? `[${part}]` : /^[A-Za-z_$][\w$]*$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`,
  )
  return text.join('').replace(/^\./, '') || '$'
}

/** `routes[0].upstream: no upstream "user"; did you mean "users"?` */
export function complaintText(complaint: Complaint): string {
  return `${pathText(complaint.path)}: ${complaint.message}`
}

const MOST_SHOWN = 20

/** Complaints for a terminal, a line each: the first 20, then how many more there are. */
export function complaintLines(complaints: readonly Complaint[]): string[] {
  const lines = complaints.slice(0, MOST_SHOWN).map((complaint) => `  ${complaintText(complaint)}`)
  const more = complaints.length - lines.length
  return more > 0 ? [...lines, `  … and ${more} more`] : lines
}
