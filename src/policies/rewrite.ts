import * as z from 'zod/mini'
import type { Diagnostic } from '../config/schema/diagnostic.ts'
import { doc } from '../config/schema/scalars.ts'
import type { Exchange } from '../core/exchange.ts'
import { definePolicy, placedTexts } from '../core/policy.ts'
import { problem } from '../core/problem.ts'
import { checkPath, checkTemplate, compilePath, compileTemplate, encodeQueryValue } from '../core/template.ts'

const fieldName = z.string().check(z.minLength(1, 'expected the name of a query field'))

const query = z.strictObject({
  set: doc(
    z.prefault(z.record(fieldName, z.string()), {}),
    'Name to template: replaces all values of the field. An absent value removes the field. Default {}.',
  ),
  remove: doc(z.prefault(z.array(fieldName), []), 'Fields to remove. Default [].'),
})

/** The policy `rewrite`: changes the path and the query of the request to the upstream. */
export const rewrite = definePolicy({
  name: 'rewrite',
  config: z.strictObject({
    path: z.optional(
      doc(
        z.string(),
        'The path that the upstream gets, with {params.…} and {jwt.…}; a final `/*` stands for what the `/*` of the match matched. Default: the path as matched.',
      ),
    ),
    query: z.optional(doc(query, 'Changes to the query; all other fields stay as they are. Default none.')),
  }),
  facts: ({ path, query }) => ({
    setsQuery: Object.keys(query?.set ?? {}),
    templates: [
      ...(path === undefined ? [] : [{ path: ['path'], text: path }]),
      ...placedTexts(['query', 'set'], query?.set),
    ],
    needsUpstream: [[]],
  }),
  check: (config, route) => {
    const found: Diagnostic[] = []
    const queryChanges = Object.keys(config.query?.set ?? {}).length + (config.query?.remove.length ?? 0)
    if (config.path === undefined && queryChanges === 0)
      found.push({ path: [], message: 'expected a "path", or something to "set" or "remove" in "query"' })
    const pathMessage = config.path === undefined ? undefined : checkPath(config.path, route)
    if (pathMessage !== undefined) found.push({ path: ['path'], message: pathMessage })
    for (const [name, template] of Object.entries(config.query?.set ?? {})) {
      const message = checkTemplate(template, route)
      if (message !== undefined) found.push({ path: ['query', 'set', name], message })
    }
    return found
  },
  compile: (config) => {
    const path = config.path === undefined ? undefined : compilePath(config.path)
    const editQuery = config.query && compileQuery(config.query)
    return (next) => (x) => {
      if (path !== undefined) {
        const rendered = path.render(x)
        if (rendered === undefined) return Promise.resolve(problem(path.fault(x)))
        x.outgoing.path = rendered
      }
      if (editQuery !== undefined) x.outgoing.search = editQuery(x)
      return next(x)
    }
  },
})

/** Compiles changes to a function that returns the new query with its `?`: without the fields that are removed or set, all others byte for byte and in order, then those that are set. */
function compileQuery({ set, remove }: z.output<typeof query>): (x: Exchange) => string {
  const removed = new Set([...remove, ...Object.keys(set)])
  const added = Object.entries(set).map(([name, template]) => {
    const { render } = compileTemplate(template, () => encodeQueryValue)
    const prefix = `${encodeQueryValue(name)}=`
    return { prefix, render }
  })
  return (x) => {
    const { search } = x.outgoing
    const pairs = search.length > 1 ? search.slice(1).split('&') : []
    const kept = pairs.filter((pair) => !removed.has(fieldNameOf(pair)))
    for (const { prefix, render } of added) {
      const value = render(x)
      if (value !== undefined) kept.push(prefix + value)
    }
    return kept.length > 0 ? `?${kept.join('&')}` : ''
  }
}

/** The decoded name of a field, as an origin reads it: `%64ebug` is `debug`. */
function fieldNameOf(pair: string): string {
  const end = pair.indexOf('=')
  const name = end === -1 ? pair : pair.slice(0, end)
  // The `=` makes the name a value, in which every byte is decoded and none is syntax.
  return /[%+]/.test(name) ? new URLSearchParams(`=${name}`).get('')! : name
}
