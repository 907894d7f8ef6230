import * as z from 'zod/mini'
import type { Diagnostic } from '../config/schema/diagnostic.ts'
import { distinct, doc, headerRecord, headerValue, method } from '../config/schema/scalars.ts'
import type { Exchange } from '../core/exchange.ts'
import { definePolicy } from '../core/policy.ts'
import { problem } from '../core/problem.ts'
import { canonicalPath } from '../lib/canonical-path.ts'
import { canonicalHeaderName } from '../lib/header.ts'

const pattern = headerValue.check(z.minLength(1, 'expected a pattern such as "application/json*", or "*" for anything'))
const patterns = z.union([pattern, z.array(pattern).check(z.minLength(1), distinct())])
const headerPatterns = z.prefault(headerRecord(patterns), {})

const config = z.strictObject({
  methods: z.optional(
    doc(
      z.array(method).check(z.minLength(1), distinct()),
      'The methods that are allowed; GET includes HEAD. Default: those of the route’s `match`.',
    ),
  ),
  require: doc(
    headerPatterns,
    'Header to a pattern, or to a list of which one must match the whole value: `*` matches any characters, all others match themselves, ignoring case. Default {}.',
  ),
  forbid: doc(
    headerPatterns,
    'Header to a pattern, or to a list of which none may match, neither the whole value nor an item of it; "*" forbids the header. Default {}.',
  ),
  forbidPaths: doc(
    z.prefault(z.array(pattern.check(z.startsWith('/'))).check(distinct()), []),
    'Patterns of paths that are refused, such as "/*/.git*"; compared with the canonical path and with its decoded form. Default [].',
  ),
})

/** The policy `rules`: refuses requests by method, headers and path, in addition to the route's `match`. */
export const rules = definePolicy({
  name: 'rules',
  config,
  check: ({ methods, require, forbid, forbidPaths }) => {
    const found = forbidPaths.flatMap((path, i) => checkPath(path, ['forbidPaths', i]))
    if (methods === undefined && [require, forbid, forbidPaths].every((rule) => Object.keys(rule).length === 0))
      found.push({
        path: [],
        message: 'expected "methods", or something to "require" or to "forbid", or "forbidPaths"',
      })
    for (const name of Object.keys(require))
      if ([forbid[name]].flat().includes('*'))
        found.push({ path: ['require', name], message: 'is forbidden too: no request can pass' })
    return found
  },
  compile: ({ methods, require, forbid, forbidPaths }) => {
    const allow = methods && (methods.includes('GET') ? [...new Set([...methods, 'HEAD' as const])] : methods)
    const required = compileHeaders(require)
    const forbidden = compileHeaders(forbid)
    const isForbiddenPath = compileAny(forbidPaths)
    return (next) => (x) => {
      const { method: requestMethod, headers } = x.request
      if (allow !== undefined && !allow.some((name) => name === requestMethod))
        return Promise.resolve(problem('method-not-allowed', { headers: { allow: allow.toSorted().join(', ') } }))
      if (isForbiddenPath(x.path) || (/%|\/\//.test(x.path) && readings(x.path).some(isForbiddenPath)))
        return refused('This path is not allowed')
      for (const { name, matches } of required) {
        const value = headers.get(name)
        if (value === null) return refused(`The header ${name} is required`)
        if (!matches(value) || !lookalikeValues(x, name).every(matches))
          return refused(`The header ${name} is not one of those that are allowed`)
      }
      for (const { name, matches } of forbidden) {
        const values = [headers.get(name) ?? [], lookalikeValues(x, name)].flat()
        if (values.some((value) => matches(value) || listItems(value).some(matches)))
          return refused(`The header ${name} is not allowed`)
      }
      return next(x)
    }
  },
})

/** What an origin may read in a path: its escapes decoded, its empty segments merged, or both. */
function readings(path: string): string[] {
  const decoded = decodeURIComponent(path)
  return [decoded, ...[decoded, path].map((text) => text.replaceAll(/\/{2,}/g, '/'))]
}

const refused = (detail: string): Promise<Response> => Promise.resolve(problem('rule-refused', { detail }))

/** The values of headers whose names some servers treat as `name`: `X_Debug` for `x-debug`. */
function lookalikeValues({ outgoing: { headers } }: Exchange, name: string): string[] {
  const canonical = canonicalHeaderName(name)
  return Object.keys(headers).flatMap((other) =>
    other !== name && other !== canonical && canonicalHeaderName(other) === canonical ? headers[other]! : [],
  )
}

/** The items of a list: a header that is sent twice arrives as one list (RFC 9110 §5.3), of which an origin may read the first or the last item. */
const listItems = (value: string): string[] => (value.includes(',') ? value.split(',').map((item) => item.trim()) : [])

/** A diagnostic for a pattern that no canonical path can match. `*` is allowed in paths, so that a pattern can be checked as a path. */
function checkPath(pattern: string, path: Diagnostic['path']): Diagnostic[] {
  const canonical = canonicalPath(pattern)
  if (canonical === pattern) return []
  const expected = canonical === undefined ? 'a pattern of valid paths' : `"${canonical}"`
  return [{ path, message: `no canonical path has this form; expected ${expected}` }]
}

function compileHeaders(headers: z.output<typeof headerPatterns>) {
  return Object.entries(headers).map(([name, patterns]) => ({ name, matches: compileAny([patterns].flat()) }))
}

function compileAny(patterns: readonly string[]): (text: string) => boolean {
  const globs = patterns.map(compileGlob)
  return (text) => globs.some((matches) => matches(text))
}

/**
 * Compiles a pattern that must match the whole text: `*` matches any characters, also none, and all others match themselves, ignoring case.
 * The text is scanned once, without backtracking, so that the time is linear for every text.
 */
export function compileGlob(pattern: string): (text: string) => boolean {
  const [head = '', ...rest] = pattern.toLowerCase().split('*')
  const tail = rest.pop()
  if (tail === undefined) return (text) => text.toLowerCase() === head
  return (value) => {
    const text = value.toLowerCase()
    if (!text.startsWith(head) || !text.endsWith(tail)) return false
    // The first match leaves the most text for the following parts.
    let at = head.length
    for (const part of rest) {
      const found = text.indexOf(part, at)
      if (found === -1) return false
      at = found + part.length
    }
    // No character is matched twice: `a*a` does not match `a`.
    return at + tail.length <= text.length
  }
}
