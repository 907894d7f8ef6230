import * as z from 'zod/mini'
import type { Diagnostic } from '../config/schema/diagnostic.ts'
import { doc, duration, headerName, method as verb } from '../config/schema/scalars.ts'
import type { HeaderEdit } from '../core/exchange.ts'
import { definePolicy, type RouteFacts } from '../core/policy.ts'
import { problem } from '../core/problem.ts'

const origin = z.string('expected an origin such as "https://app.example.com"').check(
  z.refine((text) => text === '*' || originOf(text) === text, {
    error: ({ input }) => {
      const meant = originOf(String(input))
      const guess = meant === undefined ? '' : `; did you mean "${meant}"?`
      return `expected "*" or an exact origin such as "https://app.example.com", found ${JSON.stringify(input)}${guess}`
    },
  }),
)

const named = headerName.check(
  z.refine((name) => name !== '*', 'expected header names; "*" stands for none of them here'),
)

const config = z.strictObject({
  origins: doc(
    z.array(origin).check(z.minLength(1, 'expected at least one origin')),
    'Exactly these origins (scheme, host, port) may read the answers; `["*"]` is every origin, without credentials.',
  ),
  methods: doc(
    z.prefault(z.array(verb).check(z.minLength(1)), ['GET', 'HEAD', 'POST']),
    'The methods that a preflight may ask for. Default GET, HEAD, POST.',
  ),
  headers: doc(z.prefault(z.array(named), []), 'The request headers that a preflight may ask for. Default [].'),
  exposeHeaders: doc(
    z.prefault(z.array(named), []),
    'The response headers that scripts may read beside the ones that browsers always show. Default [].',
  ),
  credentials: doc(
    z.prefault(z.boolean(), false),
    'Whether browsers send cookies and client certificates, and let scripts read the answers. Default false.',
  ),
  maxAge: doc(z.prefault(duration(0), '10m'), 'How long a browser may keep the answer to a preflight. Default 10m.'),
})
type CorsConfig = z.output<typeof config>

/**
 * Cross-origin resource sharing (Fetch standard §3.2): answers preflights itself, and says on every other answer who may read it. The upstream's
 * own answer to that question is dropped.
 */
export const cors = definePolicy({
  name: 'cors',
  config,
  check: ({ origins, credentials }) => {
    const found: Diagnostic[] = []
    if (!origins.includes('*')) return found
    if (credentials) found.push({ path: ['credentials'], message: '"*" cannot go with credentials: name the origins' })
    if (origins.length > 1) found.push({ path: ['origins'], message: 'expected "*" alone, or only named origins' })
    return found
  },
  compile: (policy, _site, route) => {
    const isOpen = policy.origins.includes('*')
    const vary: HeaderEdit[] = isOpen ? [] : [{ op: 'append', name: 'vary', value: 'Origin' }]
    const grants = new Map(policy.origins.map((name) => [name, makeGrant(name, policy, route)]))
    const withheld = OF_THE_UPSTREAM.map((name) => edit(name, undefined))
    return (next) => (x) => {
      const { headers } = x.request
      const from = headers.get('origin')
      // Exactly equal or not at all: a prefix, a suffix or a pattern is how other sites get in.
      const grant = grants.get(isOpen ? '*' : (from ?? ''))
      // The router takes every OPTIONS with this header for the method that it asks for: none of them may go further, not even without an origin.
      const asked = x.request.method === 'OPTIONS' ? headers.get('access-control-request-method') : null
      x.edits.push(...vary, ...(asked !== null ? [] : (grant?.edits ?? withheld)))
      if (asked === null) return next(x)
      return Promise.resolve(preflight(grant, asked, headers.get('access-control-request-headers')))
    }
  },
})

/** What one origin gets. */
interface Grant {
  readonly methods: ReadonlySet<string>
  readonly headers: ReadonlySet<string>
  readonly preflight: Readonly<Record<string, string>>
  readonly edits: readonly HeaderEdit[]
}

/**
 * What an upstream may say of itself, and may not say here. That a page of the internet may ask hosts of a private network is never granted:
 * browsers have given that question up for one that they put to their users (Local Network Access).
 */
const OF_THE_UPSTREAM = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
  'access-control-allow-private-network',
] as const

function makeGrant(name: string, policy: CorsConfig, route: RouteFacts): Grant {
  const { methods, headers, exposeHeaders, credentials, maxAge } = policy
  return {
    // The router brings preflights for what no route of the path answers as well.
    methods: new Set(methods.filter((method) => takes(route, method))),
    headers: new Set(headers),
    preflight: {
      'access-control-allow-origin': name,
      'access-control-allow-methods': methods.join(', '),
      ...(headers.length > 0 && { 'access-control-allow-headers': headers.join(', ') }),
      ...(credentials && { 'access-control-allow-credentials': 'true' }),
      'access-control-max-age': String(Math.floor(maxAge / 1000)),
    },
    edits: [
      edit('access-control-allow-origin', name),
      edit('access-control-allow-credentials', credentials ? 'true' : undefined),
      edit('access-control-expose-headers', exposeHeaders.length > 0 ? exposeHeaders.join(', ') : undefined),
      edit('access-control-allow-private-network', undefined),
    ],
  }
}

const takes = ({ methods }: RouteFacts, method: string): boolean =>
  methods === undefined || methods.includes(method) || (method === 'HEAD' && methods.includes('GET'))

function edit(name: string, value: string | undefined): HeaderEdit {
  return value === undefined ? { op: 'remove', name, value: '' } : { op: 'set', name, value }
}

/** Refuses with a status as well as by silence: browsers let GET, HEAD and POST pass although the list does not name them. */
function preflight(grant: Grant | undefined, method: string, headers: string | null): Response {
  if (grant === undefined) return problem('cors-refused', { detail: 'This origin is not allowed' })
  if (!grant.methods.has(method)) return problem('cors-refused', { detail: 'The requested method is not allowed' })
  const names = headers?.split(',').map((name) => name.trim().toLowerCase()) ?? []
  if (!names.every((name) => name === '' || grant.headers.has(name))) {
    return problem('cors-refused', { detail: 'A requested header is not allowed' })
  }
  return new Response(null, { status: 204, headers: grant.preflight })
}

/** The origin in a text that is meant to be one; undefined when there is none. */
function originOf(text: string): string | undefined {
  const url = URL.canParse(text) && !text.includes('*') ? new URL(text) : undefined
  return url && /^https?:$/.test(url.protocol) ? url.origin : undefined
}
