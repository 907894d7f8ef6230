import { canonicalPath } from '../lib/canonical-path.ts'

/** One segment of a `match.path`. */
export type Segment =
  { readonly kind: 'literal'; readonly text: string } | { readonly kind: 'param'; readonly name: string }

/** A parsed `match.path`. */
export interface PathPattern {
  readonly segments: readonly Segment[]
  /** Whether it ends in `/*`: that path and everything below it. */
  readonly rest: boolean
}

/** Syntax of regular expressions that no path has, such as `^/users/[0-9]+$`, `~ ^/users` and `/users/(.*)`. */
const REGULAR_EXPRESSION = /^[\^~]|\.[*+]|\\|\(\?|\[[^\]]*\][*+?{]/

/** A parameter as other routers write it: `/{id}`, `/{id:[0-9]}`, `/<id>`, `/<int:id>`, `/[id]`; and for everything below `/{path...}`, `/{path*}`, `/[...path]`, `/**`. */
const OTHER_PARAMETER = /\/(?:\{(\*?\w+)(?::[^/{}]*)?(\*|\.\.\.)?\}|<(?:\w+:)?(\w+)>|\[(\.\.\.)?(\w+)\]|\*\*$)/g

function replaceParameter(
  whole: string,
  braced: string | undefined,
  bracedRest: string | undefined,
  angled: string | undefined,
  squaredRest: string | undefined,
  squared: string | undefined,
): string {
  const name = braced ?? angled ?? squared
  const isRest = whole === '/**' || bracedRest !== undefined || squaredRest !== undefined || braced?.startsWith('*')
  return isRest ? '/*' : `/:${name}`
}

/** `/users/:id/*` → its segments; a string is the message of an invalid pattern. */
export function parsePathPattern(text: string): PathPattern | string {
  if (REGULAR_EXPRESSION.test(text))
    return 'a path is not a regular expression; expected ":name" for one segment, and a final "/*" for everything below'
  if (!text.startsWith('/')) return 'expected a path that starts with "/"'
  const suggested = text.replaceAll(OTHER_PARAMETER, replaceParameter)
  if (suggested !== text && typeof parsePathPattern(suggested) === 'object')
    return `a parameter is written ":name"; did you mean "${suggested}"?`
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
