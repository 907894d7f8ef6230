import * as z from 'zod/mini'
import type { Diagnostic } from '../config/schema/diagnostic.ts'
import { doc } from '../config/schema/scalars.ts'
import type { Exchange, HeaderEdit } from '../core/exchange.ts'
import { definePolicy, placedTexts, type RouteFacts } from '../core/policy.ts'
import { checkTemplate, compileTemplate } from '../core/template.ts'
import { applyFieldChange, encodeHeaderValue, isConnectionHeader, isHeaderName, isHeaderValue } from '../lib/header.ts'

const templates = z.prefault(z.record(z.string(), z.string()), {})

const changes = z.strictObject({
  set: doc(
    templates,
    'Name to value, in place of every other value. A template whose value is absent only removes. Default {}.',
  ),
  add: doc(
    templates,
    'Name to value, beside the values that are there. A template whose value is absent adds nothing. Default {}.',
  ),
  remove: doc(
    z.prefault(z.array(z.string()), []),
    'Names that go no further. Removed first, then `set`, then `add`. Default [].',
  ),
})
type Changes = z.output<typeof changes>

const config = z.strictObject({
  request: doc(z.prefault(changes, {}), 'What the upstream gets. Default: no change.'),
  response: doc(
    z.prefault(changes, {}),
    'What the client gets of the upstream’s answer, or of the problem in its place; its templates are filled in before the upstream is asked. Default: no change.',
  ),
})

/** What clients say for themselves: set on one route it is replaced there, and must not be lost on all the others. */
const OF_THE_CLIENT =
  /^(?:accept(?:-.*)?|authorization|baggage|cache-control|content-.*|cookie|date|expect|from|idempotency-key|if-.*|origin|pragma|prefer|priority|range|referer|sec-.*|traceparent|tracestate|user-agent)$/

/** Sets, adds and removes header fields on the way to the upstream and back. */
export const headers = definePolicy({
  name: 'headers',
  config,
  facts: ({ request }) => ({
    setsHeaders: Object.keys(request.set).map((name) => name.toLowerCase()),
    templates: [...placedTexts(['request', 'set'], request.set), ...placedTexts(['request', 'add'], request.add)],
    needsUpstream: [['request']],
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
      .filter((name) => !OF_THE_CLIENT.test(name)),
  compile: ({ request, response }) => {
    const requestEdits = compileChanges(request)
    // Whoever applies `x.edits` begins with the last of them.
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
  const { render } = compileTemplate(template, encodeHeaderValue)
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
    const names = Object.keys(config[op])
    names.forEach((name, i) => {
      const template = config[op][name]!
      const twin = names.slice(0, i).find((other) => other.toLowerCase() === name.toLowerCase())
      report([op, name], checkName(name) ?? checkValue(template, route))
      if (twin !== undefined) report([op, name], `"${twin}" is the same header`)
    })
  }
  return found
}

function checkName(name: string): string | undefined {
  const lower = name.toLowerCase()
  if (!isHeaderName(name)) return 'expected a header name'
  if (lower === 'host')
    return 'Host cannot be changed: it is the host of the target; the client’s own travels in X-Forwarded-Host'
  return isConnectionHeader(lower)
    ? `"${name}" belongs to the connection, which the runtime keeps: it cannot be changed`
    : undefined
}

function checkValue(template: string, route: RouteFacts): string | undefined {
  return isHeaderValue(template) ? checkTemplate(template, route) : 'expected printable ASCII'
}
