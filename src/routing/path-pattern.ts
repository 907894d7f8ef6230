import { canonicalPath } from '../lib/canonical-path.ts'
import { isRegularExpression, withColonNames } from './other-notation.ts'

/** One segment of a `match.path`. */
export type Segment =
  { readonly kind: 'literal'; readonly text: string } | { readonly kind: 'param'; readonly name: string }

/** A parsed `match.path`. */
export interface PathPattern {
  readonly segments: readonly Segment[]
  /** Whether it ends in `/*`: that path and everything below it. */
  readonly rest: boolean
}

/** `/users/:id/*` → its segments; a string is the message of an invalid pattern. */
export function parsePathPattern(text: string): PathPattern | string {
  if (isRegularExpression(text))
    return 'a path is not a regular expression; expected ":name" for one segment, and a final "/*" for everything below'
  if (!text.startsWith('/')) return 'expected a path that starts with "/"'
  const suggested = withColonNames(text)
  if (suggested !== text) {
    const parsed = parsePathPattern(suggested)
    return typeof parsed === 'string' ? parsed : `a parameter is written ":name" (did you mean "${suggested}"?)`
  }
  if (/[{}<>]/.test(text)) return 'a parameter is a whole segment, ":name"'
  const rest = text.endsWith('/*')
  const parts = (rest ? text.slice(1, -2) : text.slice(1)).split('/')
  const segments: Segment[] = []
  if (rest && text === '/*') parts.pop()
  for (const part of parts) {
    if (part.startsWith(':')) {
      const name = part.slice(1)
      if (!/^[A-Za-z_]\w*$/.test(name)) return `expected a name after ":", found "${part}"`
      if (segments.some((segment) => segment.kind === 'param' && segment.name === name))
        return `":${name}" stands twice`
      segments.push({ kind: 'param', name })
    } else {
      if (part.includes('*')) return '"*" stands only as a last segment, "/*"'
      segments.push({ kind: 'literal', text: part })
    }
  }
  // Only canonical paths are looked up, so a route with another spelling would be unreachable.
  const literal = `/${segments.map((segment) => (segment.kind === 'literal' ? segment.text : 'p')).join('/')}`
  const canonical = canonicalPath(literal)
  if (canonical !== literal)
    return `no request can match this spelling; expected ${canonical === undefined ? 'a valid path' : `"${canonical}"`}`
  return { segments, rest }
}

/** The names under which a pattern's values reach `Exchange.params`; the wildcard's rest is `*`. */
export function paramNames(pattern: PathPattern): string[] {
  const names = pattern.segments.flatMap((segment) => (segment.kind === 'param' ? [segment.name] : []))
  return pattern.rest ? [...names, '*'] : names
}
