import { distance } from 'fastest-levenshtein'
/** One error in a routes.json. */
export interface Diagnostic {
  /** The place: object keys and array indexes from the root (or from the policy, in a policy's own check). */
  readonly path: readonly (string | number)[]
  /** What was expected there and what was found. */
  readonly message: string
}

/**
 * `did you mean "a"? (expected one of "a", "b")`: the end of every message about an unknown name. A name in `later` is part of the format but
 * not supported yet: it is not suggested, and the message says that it is not supported.
 */
export function expectedOneOf(found: string, valid: readonly string[], later: readonly string[] = []): string {
  const guess = nearest(found, [...valid, ...later])
  const list = valid.length > 0 ? `expected one of ${valid.map((name) => `"${name}"`).join(', ')}` : 'none exists'
  if (guess === undefined) return list
  return later.includes(guess) ? `"${guess}" is not supported yet (${list})` : `did you mean "${guess}"? (${list})`
}

/** A value as a message shows it: texts and numbers as JSON, objects and arrays by their kind. */
export function valueText(value: unknown): string {
  if (Array.isArray(value)) return 'an array'
  if (typeof value === 'object' && value !== null) return 'an object'
  return JSON.stringify(value) ?? 'nothing'
}

/** `routes[3].policies.rateLimit[0]`: a path as text; the root is `$`. */
export function pathText(path: readonly (string | number)[]): string {
  const text = path.map((part) =>
    typeof part === 'number' ? `[${part}]` : /^[A-Za-z_$][\w$]*$/.test(part) ? `.${part}` : `[${JSON.stringify(part)}]`,
  )
  return text.join('').replace(/^\./, '') || '$'
}

/** `routes[0].upstream: no upstream "user"; did you mean "users"?` */
export function diagnosticText(diagnostic: Diagnostic): string {
  return `${pathText(diagnostic.path)}: ${diagnostic.message}`
}

const MAX_SHOWN = 20

/** The lines of diagnostics for a terminal: the first 20, then the number of the others. */
export function diagnosticLines(diagnostics: readonly Diagnostic[]): string[] {
  const lines = diagnostics.slice(0, MAX_SHOWN).map((diagnostic) => `  ${diagnosticText(diagnostic)}`)
  const more = diagnostics.length - lines.length
  return more > 0 ? [...lines, `  … and ${more} more`] : lines
}

/** The candidate with the fewest edits from `word`, if they are few for its length, or one of them begins with the other; else undefined. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    const distance = distanceBetween(word.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** The edit distance, and 2 at most if one begins with the other: `max` is close to `maximum`. */
function distanceBetween(a: string, b: string): number {
  const isPrefix = a.length > 0 && b.length > 0 && (a.startsWith(b) || b.startsWith(a))
  return Math.min(distance(a, b), isPrefix ? 2 : Infinity)
}
