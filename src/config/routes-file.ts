import * as z from 'zod/mini'
import { laterPolicies, policies } from '../policies/index.ts'
import { parseCidr } from '../lib/ip.ts'
import { authProvider } from './auth-provider.ts'
import { choice, doc, headerName, method, notYet } from './scalars.ts'
import { upstream, upstreamOverride } from './upstream.ts'

const id = z.string().check(z.regex(/^[A-Za-z0-9][\w.-]*$/, 'expected letters, digits, "-", "_" and "."'))

const clientAddress = z.strictObject({
  source: doc(
    z.prefault(choice(['runtime', 'cf-connecting-ip', 'x-forwarded-for']), 'runtime'),
    'Who says where a request comes from: the connection itself, Cloudflare, or the listed proxies. Default runtime.',
  ),
  trustedProxies: doc(
    z.prefault(
      z.array(
        z.string().check(z.refine((text) => parseCidr(text) !== undefined, 'expected a CIDR such as "10.0.0.0/8"')),
      ),
      [],
    ),
    'The proxies whose X-Forwarded-For is believed. Default none.',
  ),
})

const host = z
  .string()
  .check(
    z.regex(
      /^(?:\*\.)?[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*$/,
      'expected a host such as "api.example.com" or "*.example.com", without a port',
    ),
  )

const match = z.strictObject({
  path: doc(z.string(), '`:name` is exactly one segment; a final `/*` is that path and everything below it.'),
  methods: z.optional(doc(z.array(method).check(z.minLength(1)), 'GET also answers HEAD. Default: every method.')),
  hosts: z.optional(
    doc(z.array(host).check(z.minLength(1)), 'Exact, or `*.example.com` for every sub-domain. Default: every host.'),
  ),
  headers: z.optional(doc(z.record(headerName, z.string()), 'Headers that must have exactly these values.')),
  query: z.optional(doc(z.record(z.string(), z.string()), 'Query fields that must have exactly these values.')),
  encodedSlash: z.optional(
    doc(choice(['keep']), '`keep` lets `%2F` stand inside a segment; without it such a path is refused.'),
  ),
})

/** The shape of a route's `policies`: each policy's own schema, or null to switch off what `defaults` says. */
export const policiesConfig = z.strictObject({
  ...(Object.fromEntries(policies.map((policy) => [policy.name, z.optional(z.nullable(policy.config))])) as Record<
    string,
    z.ZodMiniType
  >),
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
  scheme: z.optional(doc(choice(['http', 'https']), 'Default: the request’s own.')),
  host: z.optional(doc(z.string().check(z.minLength(1)), 'Default: the request’s own.')),
})

const respond = z.strictObject({
  status: doc(z.prefault(z.int().check(z.gte(200), z.lte(599)), 200), 'Default 200.'),
  headers: doc(z.prefault(z.record(headerName, z.string()), {}), 'Default none.'),
  body: z.optional(doc(z.string(), 'Default none.')),
})

const route = z.strictObject({
  id: doc(id, 'Its name in logs, spans and metrics; unique.'),
  match,
  upstream: z.optional(
    doc(
      z.union([z.string(), upstreamOverride]),
      'An upstream’s name, or its name with what this route does differently.',
    ),
  ),
  redirect: z.optional(redirect),
  respond: z.optional(respond),
  builtin: z.optional(
    doc(
      choice(['health'], ['token', 'userinfo', 'dispatch', 'jwks', 'metrics', 'dashboard', 'admin']),
      'One of the gateway’s own endpoints.',
    ),
  ),
  compose: notYet(),
  policies: z.prefault(policiesConfig, {}),
})

/** The whole of a routes.json, in the names that a person writes. */
export const routesFile = z.strictObject({
  $schema: z.optional(z.string()),
  version: z.literal(1, 'expected 1'),
  clientAddress: z.prefault(clientAddress, {}),
  authProviders: z.prefault(z.record(id, authProvider), {}),
  upstreams: z.prefault(z.record(id, upstream), {}),
  defaults: z.prefault(z.strictObject({ policies: z.optional(z.record(z.string(), z.unknown())) }), {}),
  routes: z.array(route).check(z.minLength(1, 'expected at least one route')),
  tests: notYet(),
})

/** A checked routes.json: defaults filled in, durations in milliseconds, sizes in bytes. */
export type Config = Omit<z.output<typeof routesFile>, '$schema' | 'defaults' | 'tests'>
export type RouteConfig = Config['routes'][number]
export type RedirectConfig = z.output<typeof redirect>
export type RespondConfig = z.output<typeof respond>
