import * as z from 'zod/mini'
import type { Diagnostic } from '../config/schema/diagnostic.ts'
import { choice, distinctHeaders, doc } from '../config/schema/scalars.ts'
import type { Exchange, HeaderEdit } from '../core/exchange.ts'
import { definePolicy, placedTexts, type RouteFacts } from '../core/policy.ts'
import { checkTemplate, compileTemplate } from '../core/template.ts'
import { applyFieldChange, encodeHeaderValue, isConnectionHeader, isHeaderName, isHeaderValue } from '../lib/header.ts'

const templates = z.prefault(z.record(z.string(), z.string()).check(distinctHeaders()), {})

const changes = z.strictObject({
  set: doc(templates, 'Name to template: replaces all other values. An absent value removes the header. Default {}.'),
  add: doc(templates, 'Name to template: added to the existing values. An absent value adds nothing. Default {}.'),
  remove: doc(z.prefault(z.array(z.string()), []), 'Names to remove, before `set` and `add` apply. Default [].'),
})
type Changes = z.output<typeof changes>

const responseChanges = z.extend(changes, {
  location: z.optional(
    doc(
      choice(['rewrite', 'keep']),
      'Whether Location, Content-Location, and Path and Domain of cookies are changed from URLs of the target to those of the gateway. Default: rewrite where the target has a path prefix, and for a Location that names the target’s own host.',
    ),
  ),
})

const config = z.strictObject({
  request: doc(z.prefault(changes, {}), 'Changes to the request that the upstream gets. Default none.'),
  response: doc(
    z.prefault(responseChanges, {}),
    'Changes to the upstream’s response, or to the problem in its place. Its templates are rendered before the request is sent. Default none.',
  ),
})

/** Headers that clients legitimately send: a route that sets one replaces it there, and other routes must keep the client's. */
const CLIENT_HEADERS =
  /^(?:accept(?:-.*)?|authorization|baggage|cache-control|content-.*|cookie|date|expect|from|idempotency-key|if-.*|origin|pragma|prefer|priority|range|referer|sec-.*|traceparent|tracestate|user-agent)$/

/** The policy `headers`: sets, adds and removes header fields of the request to the upstream and of its response. */
export const headers = definePolicy({
  name: 'headers',
  config,
  facts: ({ request, response }) => ({
    setsHeaders: Object.keys(request.set).map((name) => name.toLowerCase()),
    templates: [...placedTexts(['request', 'set'], request.set), ...placedTexts(['request', 'add'], request.add)],
    needsUpstream: [['request'], ['response', 'location']],
    ...(response.location && { location: response.location }),
  }),
  check: ({ request, response }, route) => [
    ...(changesNothing(request) && changesNothing(response)
      ? [{ path: [], message: 'expected something to "set", "add" or "remove" in "request" or "response"' }]
      : []),
    ...checkChanges(request, ['request'], route),
    ...checkChanges(response, ['response'], route),
  ],
  injects: ({ request }) =>
    Object.keys(request.set)
      .map((name) => name.toLowerCase())
      .filter((name) => !CLIENT_HEADERS.test(name)),
  compile: ({ request, response }) => {
    const requestEdits = compileChanges(request)
    // `x.edits` are applied from the last to the first.
    const responseEdits = compileChanges(response).toReversed()
    return (next) => (x) => {
      for (const editOf of requestEdits) {
        const edit = editOf(x)
        if (edit !== undefined) applyFieldChange(x.outgoing.headers, edit)
      }
      for (const editOf of responseEdits) {
        const edit = editOf(x)
        if (edit !== undefined) x.edits.push(edit)
      }
      return next(x)
    }
  },
})

const changesNothing = (changes: Changes): boolean =>
  Object.values(changes).every((names) => Object.keys(names).length === 0)

type EditOf = (x: Exchange) => HeaderEdit | undefined

function compileChanges({ set, add, remove }: Changes): EditOf[] {
  const removals = remove.map((name) => {
    const edit = removal(name)
    return () => edit
  })
  const sets = Object.entries(set).map(([name, template]) => compileEdit('set', name, template, removal(name)))
  const adds = Object.entries(add).map(([name, template]) => compileEdit('append', name, template, undefined))
  return [...removals, ...sets, ...adds]
}

function compileEdit(op: 'set' | 'append', name: string, template: string, whenAbsent: HeaderEdit | undefined): EditOf {
  const { render } = compileTemplate(template, () => encodeHeaderValue)
  const lowerName = name.toLowerCase()
  return (x) => {
    const value = render(x)
    return value === undefined ? whenAbsent : { op, name: lowerName, value }
  }
}

const removal = (name: string): HeaderEdit => ({ op: 'remove', name: name.toLowerCase(), value: '' })

function checkChanges(config: Changes, at: Diagnostic['path'], route: RouteFacts): Diagnostic[] {
  const found: Diagnostic[] = []
  const report = (path: Diagnostic['path'], message: string | undefined) => {
    if (message !== undefined) found.push({ path: [...at, ...path], message })
  }
  config.remove.forEach((name, i) => report(['remove', i], checkName(name)))
  for (const op of ['set', 'add'] as const) {
    for (const [name, template] of Object.entries(config[op]))
      report([op, name], checkName(name) ?? checkValue(template, route))
  }
  return found
}

function checkName(name: string): string | undefined {
  const lower = name.toLowerCase()
  if (!isHeaderName(name)) return 'expected a header name'
  if (lower === 'host')
    return 'Host cannot be changed: it is the host of the target; the client’s own is sent in X-Forwarded-Host'
  return isConnectionHeader(lower)
    ? `"${name}" belongs to the connection, which the runtime controls: it cannot be changed`
    : undefined
}

function checkValue(template: string, route: RouteFacts): string | undefined {
  return isHeaderValue(template) ? checkTemplate(template, route) : 'expected printable ASCII'
}
