import * as z from 'zod/mini'
import { authProvider } from '../auth/config/auth-provider.ts'
import { OAUTH_BUILTINS } from '../identity/oauth-builtins.ts'
import { laterPolicies, policies, type PolicySchemas } from '../policies/index.ts'
import { upstream, upstreamOverride } from '../upstream/config.ts'
import {
  choice,
  cidr,
  distinct,
  doc,
  duration,
  expected,
  headerRecord,
  headerValue,
  method,
  notYet,
} from './schema/scalars.ts'

/** The schema of `transport`: where https is required. A file for production sets both sides. */
export const transport = z.strictObject({
  clients: doc(
    z.prefault(choice(['any', 'https', 'redirect']), 'any'),
    'The response to plain HTTP. any: the normal one; https: 403; redirect: 308 to the same URL by https. Routes with `insecure` accept plain HTTP in any case. Default any.',
  ),
  targets: doc(
    z.prefault(choice(['any', 'https']), 'any'),
    'The schemes of targets and auth providers. https: a URL with http is an error, except for targets with `insecure`. Default any.',
  ),
})

const id = z.string().check(z.regex(/^[A-Za-z0-9][\w.-]*$/, expected('expected letters, digits, "-", "_" and "."')))

const clientAddress = z.strictObject({
  source: doc(
    z.prefault(choice(['runtime', 'cf-connecting-ip', 'x-forwarded-for']), 'runtime'),
    'Where the client address comes from. runtime: the connection; cf-connecting-ip: Cloudflare; x-forwarded-for: the listed proxies. Default runtime.',
  ),
  trustedProxies: doc(
    z.prefault(z.array(cidr).check(distinct()), []),
    'The proxies whose X-Forwarded-For, -Proto, -Host, -Port and -Prefix are trusted; required with the source `x-forwarded-for`. Default none.',
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

/** Whether a text is a host with or without a port, as in a URL. */
function isAuthority(text: string): boolean {
  const isWellFormed = /^(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/.test(text)
  return isWellFormed && URL.canParse(`http://${text}`)
}

const match = z.strictObject({
  path: doc(z.string(), '`:name` is exactly one segment; a final `/*` is that path and everything below it.'),
  methods: z.optional(
    doc(
      z.array(method).check(z.minLength(1), distinct()),
      'GET includes HEAD. Default: GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS. Named here, it also takes PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK, REPORT, SEARCH, QUERY, ACL, MKACTIVITY, CHECKOUT, MERGE, NOTIFY, SUBSCRIBE, UNSUBSCRIBE, PURGE and BAN.',
    ),
  ),
  hosts: z.optional(
    doc(
      z.array(host).check(z.minLength(1), distinct()),
      'Exact, or `*.example.com` for every sub-domain. Default: every host.',
    ),
  ),
  headers: z.optional(doc(headerRecord(z.string()), 'Headers that must have exactly these values.')),
  query: z.optional(doc(z.record(z.string(), z.string()), 'Query fields that must have exactly these values.')),
  encodedSlash: z.optional(
    doc(choice(['keep']), '`keep` accepts `%2F` as data inside a segment; without it a path with `%2F` is refused.'),
  ),
  slashes: z.optional(
    doc(
      choice(['merge', 'keep']),
      '`merge` forwards `//` as `/`; `keep` forwards what the final `/*` matched with its empty segments. Routes are matched with slashes merged. Default merge.',
    ),
  ),
})

/** The schema of a route's `policies`: each policy's own schema, or null to switch off the one in `defaults`. */
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
    'The new path; a final `/*` stands for what the `/*` of the match matched. The query is kept.',
  ),
  scheme: z.optional(
    doc(
      choice(['http', 'https']),
      'The new scheme; the port of the request is dropped with its scheme. Default: the request’s own.',
    ),
  ),
  port: z.optional(
    doc(
      z.int().check(z.gte(1), z.lte(65_535)),
      'The new port. Default: that of `host`; else the request’s own, and the default port of a new `scheme`.',
    ),
  ),
  host: z.optional(
    doc(
      z
        .string()
        .check(
          z.refine(isAuthority, expected('expected a host such as "api.example.com", with a port where it needs one')),
        ),
      'The new host, with a port if it is not the default one. Default: the request’s own.',
    ),
  ),
})

const respond = z.strictObject({
  status: doc(z.prefault(z.int().check(z.gte(200), z.lte(599)), 200), 'The status of the response. Default 200.'),
  headers: doc(z.prefault(headerRecord(headerValue), {}), 'Its headers: name to printable ASCII. Default none.'),
  body: z.optional(doc(z.string(), 'Its body; a 204, 205 or 304 has none. Default none.')),
})

const route = z.strictObject({
  id: doc(id, 'The name of the route in logs and spans; unique.'),
  match: doc(match, 'The requests that it matches. The most specific route wins, regardless of the order in the file.'),
  upstream: z.optional(
    doc(
      z.union([z.string(), upstreamOverride]),
      'The upstream that responds: its name, or its name with the settings that this route overrides. The alternatives are `redirect`, `respond` and `builtin`.',
    ),
  ),
  redirect: z.optional(doc(redirect, 'Responds with a redirect.')),
  respond: z.optional(doc(respond, 'Responds with this status, these headers and this body.')),
  builtin: z.optional(
    doc(
      choice(['health', 'admin', 'bootstrap', ...OAUTH_BUILTINS], ['dispatch', 'metrics', 'dashboard']),
      'Responds with one of the gateway’s own endpoints. health: what is degraded. admin: breakers, targets, users, clients, API keys, revocations, the audit log; needs a path that ends in `/*`, and `auth` with `roles` or `scopes` or `ip` with `allow`. bootstrap: creates the first user, authorized by the secret UMBRAL_BOOTSTRAP_TOKEN. token, revoke, introspect, userinfo, jwks, metadata: OAuth, for the auth provider with `"keys": "self"`.',
    ),
  ),
  compose: notYet(),
  insecure: z.optional(
    doc(
      z.boolean(),
      'Accepts plain HTTP regardless of `transport.clients`: for routes without secrets, such as a load balancer’s health check. Default false.',
    ),
  ),
  policies: doc(
    z.prefault(policiesConfig, {}),
    'The policies of the route, by name, merged over those of `defaults`. Default none.',
  ),
})

const DAY_MS = 86_400_000
const auditRetention = z.strictObject({
  maxAge: doc(z.prefault(duration(DAY_MS, 3_660 * DAY_MS), '400d'), 'The age of the oldest entry. Default 400d.'),
  maxRows: doc(
    z.prefault(z.int().check(z.gte(1_000), z.lte(10_000_000)), 1_000_000),
    'The most entries. Default 1000000.',
  ),
})

/** The schema of a whole routes.json. */
export const routesFile = z.strictObject({
  $schema: z.optional(doc(z.string(), 'The schema for editors. Umbral does not read it.')),
  version: doc(z.literal(1, expected('expected the number 1')), 'The version of this format: 1.'),
  clientAddress: doc(z.prefault(clientAddress, {}), 'How the client address is found. Default: by the connection.'),
  auditRetention: doc(
    z.prefault(auditRetention, {}),
    'How long entries of the audit log are kept; those beyond either bound are deleted. Default 400 days, 1,000,000 entries.',
  ),
  transport: doc(
    z.prefault(transport, {}),
    'Where https is required: for production, on both sides. Default: nowhere.',
  ),
  authProviders: doc(
    z.prefault(z.record(id, authProvider), {}),
    'The issuers and key stores that authenticate callers, by the name that the policy `auth` uses. Default none.',
  ),
  upstreams: doc(z.prefault(z.record(id, upstream), {}), 'The services behind the gateway, by name. Default none.'),
  defaults: doc(
    z.prefault(
      z.strictObject({
        policies: z.optional(
          doc(
            z.record(z.string(), z.unknown()),
            'Merged under the `policies` of every route: objects merge, arrays replace, `null` switches a policy off. Default none.',
          ),
        ),
      }),
      {},
    ),
    'The settings that every route inherits. Default none.',
  ),
  routes: doc(
    z.array(route).check(z.minLength(1, 'expected at least one route')),
    'The routes. A path that none of them matches is not reachable.',
  ),
  tests: notYet(),
})

/** A routes.json as written: durations and sizes as text, without defaults. */
export type WrittenConfig = z.input<typeof routesFile>
/** A checked routes.json: defaults filled in, durations in milliseconds, sizes in bytes. */
export type Config = Omit<z.output<typeof routesFile>, '$schema' | 'defaults' | 'tests'>
/** A checked route. */
export type RouteConfig = Config['routes'][number]
/** A checked `redirect`. */
export type RedirectConfig = z.output<typeof redirect>
/** A checked `respond`. */
export type RespondConfig = z.output<typeof respond>
