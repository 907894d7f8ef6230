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
    'Fields that the upstream gets with exactly this value, in place of the client’s. A template whose value is absent only removes. Default {}.',
  ),
  remove: doc(z.prefault(z.array(fieldName), []), 'Fields that go no further. Default [].'),
})

/** Sends the upstream another path or query than the client asked for. */
export const rewrite = definePolicy({
  name: 'rewrite',
  config: z.strictObject({
    path: z.optional(
      doc(
        z.string(),
        'The path the upstream gets, with {params.…} and {jwt.…} filled in; a final `/*` carries what the match’s own `/*` matched. Default: the path as matched.',
      ),
    ),
    query: z.optional(doc(query, 'Changes to the query; every field not named stays as it is. Default: none.')),
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
    const inQuery = Object.keys(config.query?.set ?? {}).length + (config.query?.remove.length ?? 0)
    if (config.path === undefined && inQuery === 0)
      found.push({ path: [], message: 'expected a "path", or something to "set" or "remove" in "query"' })
    const wrongPath = config.path === undefined ? undefined : checkPath(config.path, route)
    if (wrongPath !== undefined) found.push({ path: ['path'], message: wrongPath })
    for (const [name, template] of Object.entries(config.query?.set ?? {})) {
      const wrong = checkTemplate(template, route)
      if (wrong !== undefined) found.push({ path: ['query', 'set', name], message: wrong })
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

/** Drops the pairs that are removed or set, byte for byte keeps the others and their order, and puts what is set at the end. */
function compileQuery({ set, remove }: z.output<typeof query>): (x: Exchange) => string {
  const gone = new Set([...remove, ...Object.keys(set)])
  const added = Object.entries(set).map(([name, template]) => {
    const { render } = compileTemplate(template, encodeQueryValue)
    const start = `${encodeQueryValue(name)}=`
    return { start, render }
  })
  return (x) => {
    const { search } = x.outgoing
    const pairs = search.length > 1 ? search.slice(1).split('&') : []
    const kept = pairs.filter((pair) => !gone.has(fieldNameOf(pair)))
    for (const { start, render } of added) {
      const value = render(x)
      if (value !== undefined) kept.push(start + value)
    }
    return kept.length > 0 ? `?${kept.join('&')}` : ''
  }
}

/** The name as an origin reads it: `%64ebug` is `debug`. */
function fieldNameOf(pair: string): string {
  const end = pair.indexOf('=')
  const name = end === -1 ? pair : pair.slice(0, end)
  // The `=` makes the name a value: only there is every byte of it decoded and nothing of it syntax.
  return /[%+]/.test(name) ? new URLSearchParams(`=${name}`).get('')! : name
}
