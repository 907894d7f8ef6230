import * as z from 'zod/mini'
import type { Diagnostic } from '../config/schema/diagnostic.ts'
import { doc, duration, headerName, method } from '../config/schema/scalars.ts'
import type { HeaderEdit } from '../core/exchange.ts'
import { definePolicy, type RouteFacts } from '../core/policy.ts'
import { problem } from '../core/problem.ts'
import { isStandardMethod } from '../lib/http-method.ts'

const originSchema = z.string('expected an origin such as "https://app.example.com"').check(
  z.refine((text) => text === '*' || originOf(text) === text, {
    error: ({ input }) => {
      const suggestion = originOf(String(input))
      const hint = suggestion === undefined ? '' : `; did you mean "${suggestion}"?`
      return `expected "*" or an exact origin such as "https://app.example.com", found ${JSON.stringify(input)}${hint}`
    },
  }),
)

const listedHeader = headerName.check(
  z.refine((name) => name !== '*', 'expected header names; "*" stands for none of them here'),
)

/** What a script needs in order to wait, or to report an error. */
const EXPOSED_BY_DEFAULT = ['ratelimit', 'ratelimit-policy', 'retry-after', 'x-request-id']

const config = z.strictObject({
  origins: doc(
    z.array(originSchema).check(z.minLength(1, 'expected at least one origin')),
    'Exactly these origins (scheme, host, port) may read the responses; `["*"]` is every origin, without credentials.',
  ),
  methods: doc(
    z.prefault(z.array(method).check(z.minLength(1)), ['GET', 'HEAD', 'POST']),
    'The methods that a preflight may ask for, of those that the route takes. Default GET, HEAD, POST.',
  ),
  headers: doc(z.prefault(z.array(listedHeader), []), 'The request headers that a preflight may ask for. Default [].'),
  exposeHeaders: doc(
    z.prefault(z.array(listedHeader), EXPOSED_BY_DEFAULT),
    'The response headers that scripts may read in addition to the CORS-safelisted ones; a list replaces the default. Default ratelimit, ratelimit-policy, retry-after, x-request-id.',
  ),
  credentials: doc(
    z.prefault(z.boolean(), false),
    'Whether browsers send cookies and client certificates, and let scripts read the responses. Default false.',
  ),
  maxAge: doc(z.prefault(duration(0), '10m'), 'How long a browser may cache the response to a preflight. Default 10m.'),
})
type CorsConfig = z.output<typeof config>

/**
 * The policy `cors`: cross-origin resource sharing (Fetch standard §3.2). It responds to preflights itself, and sets the CORS headers of every
 * other response in place of the upstream's.
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
  compile: (policy, _platform, route) => {
    const allowsAll = policy.origins.includes('*')
    const vary: HeaderEdit[] = allowsAll ? [] : [{ op: 'append', name: 'vary', value: 'Origin' }]
    const grants = new Map(policy.origins.map((name) => [name, makeGrant(name, policy, route)]))
    const removals = UPSTREAM_HEADERS.map((name) => edit(name, undefined))
    return (next) => (x) => {
      const { headers } = x.request
      const requestOrigin = headers.get('origin')
      // Exact equality: a comparison by prefix, suffix or pattern could admit other sites.
      const grant = grants.get(allowsAll ? '*' : (requestOrigin ?? ''))
      // The router matches every OPTIONS with this header by the requested method: none of them may be forwarded, even without an origin.
      const requestedMethod = x.request.method === 'OPTIONS' ? headers.get('access-control-request-method') : null
      x.edits.push(...vary, ...(requestedMethod !== null ? [] : (grant?.edits ?? removals)))
      if (requestedMethod === null) return next(x)
      return Promise.resolve(preflight(grant, requestedMethod, headers.get('access-control-request-headers')))
    }
  },
})

/** What an origin is allowed: methods and headers (lower case) of preflights, the headers of their response, and the edits of other responses. */
interface Grant {
  readonly methods: ReadonlySet<string>
  readonly headers: ReadonlySet<string>
  readonly preflight: Readonly<Record<string, string>>
  readonly edits: readonly HeaderEdit[]
}

/**
 * The CORS headers of an upstream, which are replaced. Access to private networks from the internet is never granted: browsers have replaced
 * that header by a permission of the user (Local Network Access).
 */
const UPSTREAM_HEADERS = [
  'access-control-allow-origin',
  'access-control-allow-credentials',
  'access-control-expose-headers',
  'access-control-allow-private-network',
] as const

function makeGrant(name: string, policy: CorsConfig, route: RouteFacts): Grant {
  const { methods, headers, exposeHeaders, credentials, maxAge } = policy
  return {
    // The router also passes on preflights for methods that no route of the path accepts.
    methods: new Set(methods.filter((method) => acceptsMethod(route, method))),
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

const acceptsMethod = ({ methods }: RouteFacts, method: string): boolean =>
  methods === undefined
    ? isStandardMethod(method)
    : methods.includes(method) || (method === 'HEAD' && methods.includes('GET'))

function edit(name: string, value: string | undefined): HeaderEdit {
  return value === undefined ? { op: 'remove', name, value: '' } : { op: 'set', name, value }
}

/** The response to a preflight. A refusal has a status besides the missing headers, because browsers send GET, HEAD and POST even if the list does not name them. */
function preflight(grant: Grant | undefined, method: string, headers: string | null): Response {
  if (grant === undefined) return problem('cors-refused', { detail: 'This origin is not allowed' })
  if (!grant.methods.has(method)) return problem('cors-refused', { detail: 'The requested method is not allowed' })
  const names = headers?.split(',').map((name) => name.trim().toLowerCase()) ?? []
  if (!names.every((name) => name === '' || grant.headers.has(name))) {
    return problem('cors-refused', { detail: 'A requested header is not allowed' })
  }
  return new Response(null, { status: 204, headers: grant.preflight })
}

/** The origin of an http(s) URL; undefined for any other text. */
function originOf(text: string): string | undefined {
  const url = URL.canParse(text) && !text.includes('*') ? new URL(text) : undefined
  return url && /^https?:$/.test(url.protocol) ? url.origin : undefined
}
