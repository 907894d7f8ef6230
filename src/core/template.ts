import { expectedOneOf } from '../config/schema/diagnostic.ts'
import { canonicalPath } from '../lib/canonical-path.ts'
import type { Exchange } from './exchange.ts'
import type { RouteFacts } from './policy.ts'
import type { ProblemCode } from './problem.ts'
import { compileClaimPath } from './request-attribute.ts'

/** Makes a value safe for the place it goes to; undefined when nothing can. */
export type Encode = (value: string) => string | undefined

/** Text with `{references}` in it, ready to be filled in for one exchange after another. */
export interface Template {
  /** The text; undefined when a value is absent, or refused by the encoder. */
  readonly render: (x: Exchange) => string | undefined
  readonly references: readonly string[]
}

type Read = (x: Exchange) => string | undefined

const FACTS: ReadonlyMap<string, Read> = new Map<string, Read>([
  ['client.ip', (x) => x.client.ip || undefined],
  ['client.country', (x) => x.client.country],
  ['request.id', (x) => x.id],
  ['request.method', (x) => x.request.method],
  ['request.path', (x) => x.path],
  ['request.host', (x) => x.client.host],
  ['route', (x) => x.route],
  ['jwt.sub', (x) => x.identity?.subject || undefined],
])

/** Splits a template once, at start-up; `encode` sees every value and never the literal text. Throws on text that `checkTemplate` refuses. */
export function compileTemplate(text: string, encode?: Encode): Template {
  const parsed = parse(text)
  if (parsed === undefined) throw new TypeError(`not a template: ${text}`)
  const { literals, references } = parsed
  const reads = references.map((reference) => encoded(reader(reference), encode))
  const constant = literals[0]!
  if (reads.length === 0) return { render: () => constant, references }
  const render: Read = (x) => {
    let filled = constant
    for (let i = 0; i < reads.length; i++) {
      const value = reads[i]!(x)
      if (value === undefined) return undefined
      filled += value + literals[i + 1]!
    }
    return filled
  }
  return { render, references }
}

/** What is wrong with a template on this route, for a diagnostic; undefined when nothing is. */
export function checkTemplate(text: string, route: RouteFacts): string | undefined {
  const parsed = parse(text)
  if (parsed === undefined) return 'expected every "{" to have its "}"; a brace that is meant is written "{{" or "}}"'
  for (const reference of parsed.references) {
    const wrong = checkReference(reference, route)
    if (wrong !== undefined) return wrong
  }
  return undefined
}

/** What a template refers to; none where it is not one. */
export function templateReferences(text: string): readonly string[] {
  return parse(text)?.references ?? []
}

function checkReference(reference: string, route: RouteFacts): string | undefined {
  const params = route.params.map((name) => `params.${name}`)
  if (params.includes(reference)) return undefined
  if (reference.startsWith('params.'))
    return `no parameter "{${reference}}" in match.path; ${expectedOneOf(reference, params)}`
  const known = FACTS.has(reference) || /^jwt\.[^.]+(\.[^.]+)*$/.test(reference)
  if (!known) {
    const names = [...FACTS.keys(), ...params, 'jwt.<claim>']
    return `"{${reference}}" is no reference; ${expectedOneOf(reference, names)}`
  }
  if (reference.startsWith('jwt.') && !route.hasAuth) return `"{${reference}}" needs the policy "auth" on this route`
  return undefined
}

/** `a{b}c` → literals `a`, `c` and reference `b`: always one literal more than references. Undefined when braces do not pair. */
function parse(text: string): { literals: string[]; references: string[] } | undefined {
  const literals = ['']
  const references: string[] = []
  for (const [token, reference] of text.matchAll(/\{\{|\}\}|\{([^{}]*)\}|[^{}]+|[{}]/g)) {
    if (token === '{' || token === '}') return undefined
    if (reference === undefined) literals.push(literals.pop()! + (token === '{{' ? '{' : token === '}}' ? '}' : token))
    else {
      references.push(reference)
      literals.push('')
    }
  }
  return { literals, references }
}

function encoded(read: Read, encode: Encode | undefined): Read {
  if (encode === undefined) return read
  return (x) => {
    const value = read(x)
    return value === undefined ? undefined : encode(value)
  }
}

function reader(reference: string): Read {
  const fact = FACTS.get(reference)
  if (fact !== undefined) return fact
  const name = reference.slice(reference.indexOf('.') + 1)
  if (reference.startsWith('params.')) return (x) => x.params[name]
  if (!reference.startsWith('jwt.')) throw new TypeError(`not a reference: ${reference}`)
  const claim = compileClaimPath(name)
  return (x) => x.identity && claimListText(claim(x.identity.claims))
}

/** Text, numbers and booleans as they are; a list of texts with commas, unless a comma inside one would make it look like two. */
function claimListText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const isList = Array.isArray(value) && value.every((part) => typeof part === 'string' && !part.includes(','))
  return isList ? value.join(',') : undefined
}

/** Empty, `.` or `..`, between slashes: an origin that decodes `%2F` would lose a segment there, or climb. */
const NO_SEGMENT = /(?:^|\/)\.{0,2}(?=\/|$)/

function encodePathValue(value: string): string | undefined {
  return NO_SEGMENT.test(value) ? undefined : encodeURIComponent(value.toWellFormed())
}

/** A value for a query parameter. */
export function encodeQueryValue(value: string): string {
  return encodeURIComponent(value.toWellFormed())
}

/** The path that an exchange goes on with. */
export interface PathTemplate {
  /** Canonical and escaped; undefined when a value is absent or unfit for a path. */
  readonly render: (x: Exchange) => string | undefined
  /** Why `render` gave undefined. */
  readonly fault: (x: Exchange) => ProblemCode
}

/** `/v1/users/{params.id}`, or `/orders/*`, whose end is what the route's own `/*` matched. No value adds a segment, climbs, or begins a query. */
export function compilePath(text: string): PathTemplate {
  const isWild = text.endsWith('/*')
  const { render, references } = compileTemplate(isWild ? text.slice(0, -2) : text, encodePathValue)
  // Two values side by side may make what neither is: `%2` and `e`. What would be refused from a client is not sent to an upstream.
  const renderBase: Read = references.length === 0 ? render : (x) => canonical(render(x))
  const bare = compileTemplate(text)
  return {
    render: isWild ? (x) => withRest(renderBase(x), x) : renderBase,
    fault: (x) => (bare.render(x) === undefined ? 'claim-mismatch' : 'path-invalid'),
  }
}

function canonical(path: string | undefined): string | undefined {
  return path !== undefined && canonicalPath(path) === path ? path : undefined
}

function withRest(base: string | undefined, x: Exchange): string | undefined {
  if (base === undefined) return undefined
  const rest = x.params['*']
  if (rest) return `${base}/${rest}`
  return x.path.endsWith('/') ? `${base}/` : base || '/'
}

/** What is wrong with a path template on this route, for a diagnostic; undefined when nothing is. */
export function checkPath(text: string, route: RouteFacts): string | undefined {
  const wrong = checkTemplate(text, route)
  if (wrong !== undefined) return wrong
  const { literals, references } = parse(text)!
  if (references.includes('params.*')) return 'expected "/*" at the end of the path instead of "{params.*}"'
  // The others can be absent through no fault of the caller, or hold slashes.
  const foreign = references.find((reference) => !/^(params|jwt)\./.test(reference))
  if (foreign !== undefined) return `expected only {params.…} and {jwt.…} in a path, found "{${foreign}}"`
  const example = literals.join('x')
  if (!example.startsWith('/')) return 'expected a path that starts with "/"'
  if (/\*(?!$)|[^/]\*$/.test(example)) return 'expected "*" only as a last "/*"'
  if (example.endsWith('/*') && !route.params.includes('*'))
    return '"/*" carries on what the match\'s own final "/*" matched, and this match has none'
  if (canonicalPath(example) !== example) {
    return 'expected a canonical path: no "?", "#", "//", "." or "..", and other characters percent-encoded in capitals'
  }
  return undefined
}
