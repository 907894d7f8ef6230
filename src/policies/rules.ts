import * as z from 'zod/mini'
import type { Diagnostic } from '../config/schema/diagnostic.ts'
import { distinct, doc, headerName, headerValue, method } from '../config/schema/scalars.ts'
import type { Exchange } from '../core/exchange.ts'
import { definePolicy } from '../core/policy.ts'
import { problem } from '../core/problem.ts'
import { canonicalPath } from '../lib/canonical-path.ts'
import { canonicalHeaderName } from '../lib/header.ts'

const pattern = headerValue.check(z.minLength(1, 'expected a pattern such as "application/json*", or "*" for anything'))
const patterns = z.union([pattern, z.array(pattern).check(z.minLength(1), distinct())])
const ofHeaders = z.prefault(z.record(headerName, patterns), {})

const config = z.strictObject({
  methods: z.optional(
    doc(
      z.array(method).check(z.minLength(1), distinct()),
      'The methods that are let in; GET brings HEAD. Default: those of the route’s `match`.',
    ),
  ),
  require: doc(
    ofHeaders,
    'Header to a pattern, or a list of which one must fit: `*` is any run of characters, everything else itself, in any case. Default {}.',
  ),
  forbid: doc(
    ofHeaders,
    'Header to a pattern, or a list of which none may fit, neither the whole value nor an item of it; "*" forbids the header. Default {}.',
  ),
  forbidPaths: doc(
    z.prefault(z.array(pattern.check(z.startsWith('/'))).check(distinct()), []),
    'Patterns of paths that are refused, such as "/*/.git*"; they are held against the path that is matched and forwarded, and against it decoded. Default [].',
  ),
})

/** Rules on method, headers and path for what no route's `match` should have to say. */
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
        found.push({ path: ['require', name], message: 'is forbidden altogether: no request can pass' })
    return found
  },
  compile: ({ methods, require, forbid, forbidPaths }) => {
    const allow = methods && (methods.includes('GET') ? [...new Set([...methods, 'HEAD' as const])] : methods)
    const required = compileHeaders(require)
    const forbidden = compileHeaders(forbid)
    const isForbiddenPath = compileAny(forbidPaths)
    return (next) => (x) => {
      const { method: asked, headers } = x.request
      if (allow !== undefined && !allow.some((name) => name === asked))
        return Promise.resolve(problem('method-not-allowed', { headers: { allow: allow.toSorted().join(', ') } }))
      if (isForbiddenPath(x.path) || (x.path.includes('%') && isForbiddenPath(decodeURIComponent(x.path))))
        return refused('This path is not allowed')
      for (const { name, fits } of required) {
        const value = headers.get(name)
        if (value === null) return refused(`The header ${name} is required`)
        if (!fits(value) || !lookalikes(x, name).every(fits))
          return refused(`The header ${name} is not one of those that are allowed`)
      }
      for (const { name, fits } of forbidden) {
        const values = [headers.get(name) ?? [], lookalikes(x, name)].flat()
        if (values.some((value) => fits(value) || members(value).some(fits)))
          return refused(`The header ${name} is not allowed`)
      }
      return next(x)
    }
  },
})

const refused = (detail: string): Promise<Response> => Promise.resolve(problem('rule-refused', { detail }))

/** What stands in headers whose names some servers take for `name`: `X_Debug` for `x-debug`. */
function lookalikes({ outgoing: { headers } }: Exchange, name: string): string[] {
  const canonical = canonicalHeaderName(name)
  return Object.keys(headers).flatMap((written) =>
    written !== name && written !== canonical && canonicalHeaderName(written) === canonical ? headers[written]! : [],
  )
}

/** A header sent twice arrives as one list (RFC 9110 §5.3), of which an origin may read the first or the last. */
const members = (value: string): string[] => (value.includes(',') ? value.split(',').map((item) => item.trim()) : [])

/** `*` is a character that may stand in a path, so that a pattern is canonical when it is so as a path. */
function checkPath(pattern: string, path: Diagnostic['path']): Diagnostic[] {
  const canonical = canonicalPath(pattern)
  if (canonical === pattern) return []
  const expected = canonical === undefined ? 'a pattern of valid paths' : `"${canonical}"`
  return [{ path, message: `no path is spelled like this when it gets here; expected ${expected}` }]
}

function compileHeaders(headers: z.output<typeof ofHeaders>) {
  return Object.entries(headers).map(([name, wanted]) => ({ name, fits: compileAny([wanted].flat()) }))
}

function compileAny(wanted: readonly string[]): (text: string) => boolean {
  const globs = wanted.map(compileGlob)
  return (text) => globs.some((fits) => fits(text))
}

/**
 * Compiles a pattern in which `*` is any run of characters, also none, and everything else is itself in any case; it must fit the whole text.
 * It goes through a text once, and never back: no text makes it slow, as texts can make a regular expression.
 */
export function compileGlob(pattern: string): (text: string) => boolean {
  const [head = '', ...rest] = pattern.toLowerCase().split('*')
  const tail = rest.pop()
  if (tail === undefined) return (text) => text.toLowerCase() === head
  return (written) => {
    const text = written.toLowerCase()
    if (!text.startsWith(head) || !text.endsWith(tail)) return false
    // The first place that fits leaves the most room for what follows.
    let at = head.length
    for (const part of rest) {
      const found = text.indexOf(part, at)
      if (found === -1) return false
      at = found + part.length
    }
    // Nothing may be used twice: `a*a` does not fit `a`.
    return at + tail.length <= text.length
  }
}
