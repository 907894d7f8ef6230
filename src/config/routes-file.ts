import * as z from 'zod/mini'
import { authProvider } from '../auth/config/auth-provider.ts'
import { OAUTH_BUILTINS } from '../identity/oauth-builtins.ts'
import { laterPolicies, policies, type PolicySchemas } from '../policies/index.ts'
import { upstream, upstreamOverride } from '../upstream/config.ts'
import { choice, cidr, distinct, doc, expected, headerName, headerValue, method, notYet } from './schema/scalars.ts'

/** The schema of `transport`: what a file for production says, and one for a single machine does not. */
export const transport = z.strictObject({
  clients: doc(
    z.prefault(choice(['any', 'https', 'redirect']), 'any'),
    'What a client that comes by plain HTTP gets. any: its answer; https: 403; redirect: 308 to the same place by https. Routes with `insecure` answer all the same. Default any.',
  ),
  targets: doc(
    z.prefault(choice(['any', 'https']), 'any'),
    'What targets and auth providers may be asked by. https: a URL with http is a mistake, but for targets with `insecure`. Default any.',
  ),
})

const id = z.string().check(z.regex(/^[A-Za-z0-9][\w.-]*$/, expected('expected letters, digits, "-", "_" and "."')))

const clientAddress = z.strictObject({
  source: doc(
    z.prefault(choice(['runtime', 'cf-connecting-ip', 'x-forwarded-for']), 'runtime'),
    'Who says where a request comes from: the connection itself, Cloudflare, or the listed proxies. Default runtime.',
  ),
  trustedProxies: doc(
    z.prefault(z.array(cidr).check(distinct()), []),
    'The proxies whose X-Forwarded-For is believed; goes with `x-forwarded-for`, which is nothing without them. Default none.',
  ),
})

const host = z
  .string()
  .check(
    z.regex(
      /^(?:\*\.)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*$/,
      expected('expected a host such as "api.example.com" or "*.example.com", without a port'),
    ),
  )

/** A host with or without a port, as it stands in a URL. */
function isAuthority(text: string): boolean {
  const looksRight = /^(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/.test(text)
  return looksRight && URL.canParse(`http://${text}`)
}

const match = z.strictObject({
  path: doc(z.string(), '`:name` is exactly one segment; a final `/*` is that path and everything below it.'),
  methods: z.optional(
    doc(z.array(method).check(z.minLength(1), distinct()), 'GET also answers HEAD. Default: every method.'),
  ),
  hosts: z.optional(
    doc(
      z.array(host).check(z.minLength(1), distinct()),
      'Exact, or `*.example.com` for every sub-domain. Default: every host.',
    ),
  ),
  headers: z.optional(doc(z.record(headerName, z.string()), 'Headers that must have exactly these values.')),
  query: z.optional(doc(z.record(z.string(), z.string()), 'Query fields that must have exactly these values.')),
  encodedSlash: z.optional(
    doc(choice(['keep']), '`keep` lets `%2F` stand inside a segment; without it such a path is refused.'),
  ),
})

/** The schema of a route's `policies`: each policy's own schema, or null to switch off what `defaults` says. */
export const policiesConfig = z.strictObject({
  ...(Object.fromEntries(policies.map((policy) => [policy.name, z.optional(z.nullable(policy.config))])) as {
    readonly [Name in keyof PolicySchemas]: z.ZodMiniOptional<z.ZodMiniNullable<PolicySchemas[Name]>>
  }),
  ...Object.fromEntries(laterPolicies.map((name) => [name, notYet()])),
})

const redirect = z.strictObject({
  status: doc(
    z.prefault(z.literal([301, 302, 303, 307, 308]), 308),
    '301, 302, 303, 307 or 308. Default 308, which keeps method and body.',
  ),
  path: doc(
    z.string().check(z.startsWith('/')),
    'The new path; a final `/*` carries what the matched wildcard held. The query is kept.',
  ),
  scheme: z.optional(doc(choice(['http', 'https']), 'The new scheme. Default: the request’s own.')),
  host: z.optional(
    doc(
      z
        .string()
        .check(
          z.refine(isAuthority, expected('expected a host such as "api.example.com", with a port where it needs one')),
        ),
      'The new host, with a port where it needs one. Default: the request’s own.',
    ),
  ),
})

const respond = z.strictObject({
  status: doc(z.prefault(z.int().check(z.gte(200), z.lte(599)), 200), 'The status of the answer. Default 200.'),
  headers: doc(
    z.prefault(z.record(headerName, headerValue), {}),
    'Its headers: name to printable ASCII. Default none.',
  ),
  body: z.optional(doc(z.string(), 'Its body; a 204, 205 or 304 has none. Default none.')),
})

const route = z.strictObject({
  id: doc(id, 'Its name in logs and spans; unique.'),
  match: doc(match, 'Which requests it answers. The most specific route wins, whatever the order of the file.'),
  upstream: z.optional(
    doc(
      z.union([z.string(), upstreamOverride]),
      'The upstream that answers: its name, or its name with what this route does differently. Instead of it: `redirect`, `respond` or `builtin`.',
    ),
  ),
  redirect: z.optional(doc(redirect, 'Answers with another place to go to.')),
  respond: z.optional(doc(respond, 'Answers with what stands here.')),
  builtin: z.optional(
    doc(
      choice(['health', 'admin', 'bootstrap', ...OAUTH_BUILTINS], ['dispatch', 'metrics', 'dashboard']),
      'Answers with one of the gateway’s own endpoints. health: what is degraded, if anything is. admin: breakers, targets, users, clients, API keys, revocations, the audit log; needs a path that ends in `/*`, and `auth` with `roles` or `scopes` or `ip` with `allow`. bootstrap: makes the first user for whoever knows the secret UMBRAL_BOOTSTRAP_TOKEN. token, revoke, introspect, userinfo, jwks, metadata: OAuth, for the auth provider with `"keys": "self"`.',
    ),
  ),
  compose: notYet(),
  insecure: z.optional(
    doc(
      z.boolean(),
      'Answers plain HTTP too, whatever `transport.clients` says: for what holds no secrets, such as a load balancer’s health check. Default false.',
    ),
  ),
  policies: doc(
    z.prefault(policiesConfig, {}),
    'What happens around the answer, by the name of each policy, over what `defaults` says. Default none.',
  ),
})

/** The schema of a whole routes.json, in the names that a person writes. */
export const routesFile = z.strictObject({
  $schema: z.optional(doc(z.string(), 'Where editors find the schema. Umbral does not read it.')),
  version: doc(z.literal(1, expected('expected the number 1')), 'The version of this format: 1.'),
  clientAddress: doc(z.prefault(clientAddress, {}), 'How to tell who is calling. Default: by the connection.'),
  transport: doc(
    z.prefault(transport, {}),
    'Where https is demanded: a file for production says it of both sides. Default: nowhere.',
  ),
  authProviders: doc(
    z.prefault(z.record(id, authProvider), {}),
    'Who may say who a caller is, by the name that the policy `auth` uses. Default none.',
  ),
  upstreams: doc(z.prefault(z.record(id, upstream), {}), 'The services behind the gateway, by name. Default none.'),
  defaults: doc(
    z.prefault(
      z.strictObject({
        policies: z.optional(
          doc(
            z.record(z.string(), z.unknown()),
            'Lies under the `policies` of every route: objects merge, arrays replace, `null` switches a policy off. Default none.',
          ),
        ),
      }),
      {},
    ),
    'What every route begins with. Default nothing.',
  ),
  routes: doc(
    z.array(route).check(z.minLength(1, 'expected at least one route')),
    'What the gateway answers. What is not here is not reachable.',
  ),
  tests: notYet(),
})

/** A routes.json as a person wrote it: durations and sizes in text, and only what was written. */
export type WrittenConfig = z.input<typeof routesFile>
/** A checked routes.json: defaults filled in, durations in milliseconds, sizes in bytes. */
export type Config = Omit<z.output<typeof routesFile>, '$schema' | 'defaults' | 'tests'>
/** A checked route. */
export type RouteConfig = Config['routes'][number]
/** A checked `redirect`. */
export type RedirectConfig = z.output<typeof redirect>
/** A checked `respond`. */
export type RespondConfig = z.output<typeof respond>
