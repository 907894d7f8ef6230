import { expectedOneOf } from '../config/schema/diagnostic.ts'
import { canonicalPath } from '../lib/canonical-path.ts'
import type { Exchange } from './exchange.ts'
import type { RouteFacts } from './policy.ts'
import type { ProblemCode } from './problem.ts'
import { compileClaimPath } from './request-attribute.ts'

/** Escapes a value for its place; undefined when the value is not allowed there. */
type Encode = (value: string) => string | undefined

/** A compiled text with `{references}`, which is rendered for each exchange. */
export interface Template {
  /** The text; undefined when a value is absent, or refused by the encoder. */
  readonly render: (x: Exchange) => string | undefined
  /** The references in the text, without braces, in order. */
  readonly references: readonly string[]
}

type Read = (x: Exchange) => string | undefined

const READERS: ReadonlyMap<string, Read> = new Map<string, Read>([
  ['client.ip', (x) => x.client.ip || undefined],
  ['client.country', (x) => x.client.country],
  ['request.id', (x) => x.id],
  ['request.method', (x) => x.request.method],
  ['request.path', (x) => x.path],
  ['request.host', (x) => x.client.host],
  ['route', (x) => x.route],
  ['jwt.sub', (x) => x.identity?.subject || undefined],
])

/** Parses a template once. `encode` is applied to every value and never to the literal text. Throws a TypeError on text that `checkTemplate` refuses. */
export function compileTemplate(text: string, encoderOf?: (reference: string) => Encode): Template {
  const parsed = parse(text)
  if (parsed === undefined) throw new TypeError(`not a template: ${text}`)
  const { literals, references } = parsed
  const reads = references.map((reference) => withEncoding(reference, encoderOf?.(reference)))
  const constant = literals[0]!
  if (reads.length === 0) return { render: () => constant, references }
  const render: Read = (x) => {
    let text = constant
    for (let i = 0; i < reads.length; i++) {
      const value = reads[i]!(x)
      if (value === undefined) return undefined
      text += value + literals[i + 1]!
    }
    return text
  }
  return { render, references }
}

/** The message of a diagnostic about a template on this route; undefined when it is valid. */
export function checkTemplate(text: string, route: RouteFacts): string | undefined {
  const parsed = parse(text)
  if (parsed === undefined) return 'expected every "{" to have its "}"; a literal brace is written "{{" or "}}"'
  for (const reference of parsed.references) {
    const message = checkReference(reference, route)
    if (message !== undefined) return message
  }
  return undefined
}

/** The references of a template, without braces; none if its braces do not pair. */
export function templateReferences(text: string): readonly string[] {
  return parse(text)?.references ?? []
}

function checkReference(reference: string, route: RouteFacts): string | undefined {
  const params = route.params.map((name) => `params.${name}`)
  if (params.includes(reference)) return undefined
  if (reference.startsWith('params.'))
    return `no parameter "{${reference}}" in match.path; ${expectedOneOf(reference, params)}`
  const exists = READERS.has(reference) || /^jwt\.[^.]+(\.[^.]+)*$/.test(reference)
  if (!exists) {
    const names = [...READERS.keys(), ...params, 'jwt.<claim>']
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

function withEncoding(reference: string, encode: Encode | undefined): Read {
  const read = compileReader(reference)
  if (encode === undefined) return read
  return (x) => {
    const value = read(x)
    return value === undefined ? undefined : encode(value)
  }
}

function compileReader(reference: string): Read {
  const read = READERS.get(reference)
  if (read !== undefined) return read
  const name = reference.slice(reference.indexOf('.') + 1)
  if (reference.startsWith('params.')) return (x) => x.params[name]
  if (!reference.startsWith('jwt.')) throw new TypeError(`not a reference: ${reference}`)
  const claim = compileClaimPath(name)
  return (x) => x.identity && claimListText(claim(x.identity.claims))
}

/** A string, number or boolean as text; a list of strings joined by commas. Undefined for other values, and for a list in which a string holds a comma, because it would be ambiguous. */
function claimListText(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  const isList = Array.isArray(value) && value.every((part) => typeof part === 'string' && !part.includes(','))
  return isList ? value.join(',') : undefined
}

/** Empty as a whole, or with a segment `.` or `..`: an origin that decodes `%2F` would climb. */
const UNSAFE_PARAM = /^$|(?:^|\/)\.{1,2}(?=\/|$)/
/** With a segment that is empty, `.` or `..`: an origin that decodes `%2F` would lose a segment there, or climb. */
const UNSAFE_CLAIM = /(?:^|\/)\.{0,2}(?=\/|$)/

/** A parameter of the path may be `/`, as a route with `encodedSlash: "keep"` admits; a claim may not. */
function pathEncoderOf(reference: string): Encode {
  const unsafe = reference.startsWith('params.') ? UNSAFE_PARAM : UNSAFE_CLAIM
  return (value) => (unsafe.test(value) ? undefined : encodeURIComponent(value.toWellFormed()))
}

/** Percent-encodes a value for a query parameter. */
export function encodeQueryValue(value: string): string {
  return encodeURIComponent(value.toWellFormed())
}

/** A compiled template of a path. */
export interface PathTemplate {
  /** The path, canonical and escaped; undefined when a value is absent or not allowed in a path. */
  readonly render: (x: Exchange) => string | undefined
  /** The problem of an exchange for which `render` returned undefined. */
  readonly fault: (x: Exchange) => ProblemCode
}

/** Compiles `/v1/users/{params.id}`, or `/orders/*`, whose end is what the route's own `/*` matched. No value can add or remove a segment, or begin a query. */
export function compilePath(text: string): PathTemplate {
  const isWild = text.endsWith('/*')
  const { render, references } = compileTemplate(isWild ? text.slice(0, -2) : text, pathEncoderOf)
  // Two adjacent values may form an escape together: `%2` and `e`. A path that would be refused from a client is not sent to an upstream.
  const renderBase: Read = references.length === 0 ? render : (x) => ifCanonical(render(x))
  const unencoded = compileTemplate(text)
  return {
    render: isWild ? (x) => withRest(renderBase(x), x) : renderBase,
    fault: (x) => (unencoded.render(x) === undefined ? 'claim-mismatch' : 'path-invalid'),
  }
}

function ifCanonical(path: string | undefined): string | undefined {
  return path !== undefined && canonicalPath(path) === path ? path : undefined
}

function withRest(base: string | undefined, x: Exchange): string | undefined {
  if (base === undefined) return undefined
  const rest = x.params['*']
  if (rest) return `${base}/${rest}`
  return x.path.endsWith('/') ? `${base}/` : base || '/'
}

/** The message of a diagnostic about a path template on this route; undefined when it is valid. */
export function checkPath(text: string, route: RouteFacts): string | undefined {
  const message = checkTemplate(text, route)
  if (message !== undefined) return message
  const { literals, references } = parse(text)!
  if (references.includes('params.*')) return 'expected "/*" at the end of the path instead of "{params.*}"'
  // The values of other references may be absent without an error of the caller, or hold slashes.
  const unsuitable = references.find((reference) => !/^(params|jwt)\./.test(reference))
  if (unsuitable !== undefined) return `expected only {params.…} and {jwt.…} in a path, found "{${unsuitable}}"`
  const example = literals.join('x')
  if (!example.startsWith('/')) return 'expected a path that starts with "/"'
  if (/\*(?!$)|[^/]\*$/.test(example)) return 'expected "*" only as a last "/*"'
  if (example.endsWith('/*') && !route.params.includes('*'))
    return '"/*" stands for what the final "/*" of the match matched, and this match has none'
  if (canonicalPath(example) !== example) {
    return 'expected a canonical path: no "?", "#", "//", "." or "..", and other characters percent-encoded in capitals'
  }
  return undefined
}
