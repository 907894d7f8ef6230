import * as z from 'zod/mini'
import type { Diagnostic } from '../config/schema/diagnostic.ts'
import { choice, distinct, doc, duration, expected, headerName } from '../config/schema/scalars.ts'
import type { DeclaredFacts, RouteFacts } from '../core/policy.ts'
import { parseRequestAttribute, type RequestAttribute } from '../core/request-attribute.ts'
import { checkTemplate, templateReferences } from '../core/template.ts'

const queryField = z.string().check(z.minLength(1, 'expected the name of a query field'))

/** Headers that a key cannot contain: framing, conditions, ranges, and those that the gateway sets itself. */
const NOT_FOR_KEYS =
  /^(?:host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|content-.*|range|if-.*|cache-control|pragma|forwarded|x-forwarded.*|proxy-.*|traceparent|tracestate)$/

/** Headers that `forward` cannot list: those that the gateway handles itself, and credentials, whose responses are never stored on a route's word. */
const NOT_FORWARDED =
  /^(?:host|connection|keep-alive|te|trailer|transfer-encoding|upgrade|expect|range|if-.*|accept-encoding|forwarded|x-forwarded.*|proxy-.*|cookie|authorization)$/

const key = z.strictObject({
  query: z.optional(
    doc(
      z.array(queryField).check(distinct()),
      'The only query fields in the key, in any order; the origin receives no others of the client’s. Default: the whole query.',
    ),
  ),
  headers: doc(
    z.prefault(
      z
        .array(
          headerName.check(
            z.refine((name) => !NOT_FOR_KEYS.test(name), expected('expected a header that selects a representation')),
          ),
        )
        .check(distinct()),
      ['accept', 'accept-language'],
    ),
    'The request headers in the key, besides Accept-Encoding. Default accept, accept-language.',
  ),
  unkeyed: doc(
    z.prefault(choice(['strip', 'refuse', 'trust']), 'strip'),
    'What happens to the other request headers of a client. strip: the origin receives one only if its `Vary` names it or `forward` lists it; the response is stored. Cookie and Authorization are forwarded, and the response is stored only if `Vary` names them, or RFC 9111 §3.5 allows it. refuse: all are forwarded, and no response to a request with a header that browsers do not send of themselves is stored, unless `Vary` names it. trust: all are forwarded, and every response is stored that RFC 9111 allows to store; an origin that uses a header without naming it in `Vary` then serves one client’s response to others. Default strip.',
  ),
  forward: doc(
    z.prefault(
      z
        .array(
          headerName.check(
            z.refine((name) => !NOT_FORWARDED.test(name), expected('expected a header on which no response depends')),
          ),
        )
        .check(distinct()),
      [],
    ),
    'Request headers that the origin receives although they are not in the key, such as x-request-id. The response is stored, so no response may depend on them. Default none.',
  ),
  identity: z.optional(
    doc(
      choice(['sub', 'tenant', 'none']),
      'Who shares a stored response, required on a route with `auth`. sub: one caller alone (issuer and subject). tenant: all callers with the same `tenantClaim`. In both, scopes and roles are in the key too. none: all admitted callers; stored only if the origin sends `public` or `s-maxage`. No default.',
    ),
  ),
  tenantClaim: z.optional(
    doc(
      z.string().check(z.minLength(1)),
      'With `tenant`: the claim that names the tenant; dots descend. Requests without it are not served from the cache. Default tenant.',
    ),
  ),
})

/** The schema of the policy `cache`. */
export const cacheConfig = z.strictObject({
  ttl: z.optional(
    doc(
      duration(),
      'How long a response is fresh when its origin states no lifetime. Default: a tenth of its age by Last-Modified, at most a day; without that it is not stored.',
    ),
  ),
  override: doc(
    z.prefault(z.boolean(), false),
    'Whether `ttl` and the two stale times replace those of the origin. A response that must not be stored still is not. Default false.',
  ),
  staleWhileRevalidate: z.optional(
    doc(
      duration(0),
      'How long a stale response is served while it is revalidated in the background (RFC 5861). Default: the origin’s value; without one, never.',
    ),
  ),
  staleIfError: z.optional(
    doc(
      duration(0),
      'How long a stale response is served in place of a 5xx, a timeout or an open breaker (RFC 5861). Default: the origin’s value; without one, never.',
    ),
  ),
  key: doc(z.prefault(key, {}), 'The parts of the key besides route, host, path and Accept-Encoding.'),
  tags: doc(
    z.prefault(z.array(z.string().check(z.minLength(1))).check(distinct(), z.maxLength(16)), []),
    'Names by which responses can be purged, with `{params.…}` and other references; a name whose value is absent is omitted. At most 16. Default none.',
  ),
  collapse: doc(
    z.prefault(z.boolean(), true),
    'Whether concurrent misses of one key wait for one request to the origin. Default true.',
  ),
})

/** A checked `cache`; durations in milliseconds. */
export type CacheConfig = z.output<typeof cacheConfig>
/** A checked `cache.key`. */
export type CacheKeyConfig = CacheConfig['key']

/** The checks of `cache` beyond its schema. */
export function checkCache(config: CacheConfig, route: RouteFacts): Diagnostic[] {
  const found = [...checkIdentity(config, route), ...checkForward(config), ...checkTags(config, route)]
  if (config.override && config.ttl === undefined && !config.staleWhileRevalidate && !config.staleIfError)
    found.push({ path: ['override'], message: 'expected a "ttl" or a stale time that goes before the origin’s' })
  return found
}

function checkIdentity({ key }: CacheConfig, route: RouteFacts): Diagnostic[] {
  const path = ['key', 'identity']
  const { identity, tenantClaim } = key
  // Inherited from `defaults` by a route without an upstream.
  if (route.upstream === undefined && route.id !== 'defaults') return []
  const found: Diagnostic[] = []
  if (route.hasAuth && identity === undefined && route.id !== 'defaults')
    found.push({
      path,
      message:
        'this route has "auth": expected who shares a response, "sub" (one caller alone), "tenant" (all with the same claim) or "none" (all admitted callers)',
    })
  if (!route.hasAuth && identity !== undefined && identity !== 'none')
    found.push({ path, message: `"${identity}" needs the policy "auth" on this route` })
  if (tenantClaim !== undefined && identity !== 'tenant')
    found.push({ path: ['key', 'tenantClaim'], message: 'has no use without "identity": "tenant"' })
  return found
}

function checkForward({ key: { unkeyed, forward, headers } }: CacheConfig): Diagnostic[] {
  const path = ['key', 'forward']
  if (unkeyed === 'trust' && forward.length > 0)
    return [{ path, message: 'has no use with "unkeyed": "trust", which forwards every header' }]
  return forward.flatMap((name, i) =>
    headers.includes(name)
      ? [{ path: [...path, i], message: `"${name}" is forwarded already, as one of "headers"` }]
      : [],
  )
}

function checkTags({ tags }: CacheConfig, route: RouteFacts): Diagnostic[] {
  return tags.flatMap((tag, i) => {
    const message = checkTemplate(tag, route)
    return message === undefined ? [] : [{ path: ['tags', i], message }]
  })
}

/** Templates and selections of other policies that depend on what the key does not cover: one caller's response would be served to another. */
export function checkShared({ key }: CacheConfig, declared: readonly DeclaredFacts[]): Diagnostic[] {
  return declared.flatMap(({ policy, templates = [], selectsBy = [] }) => [
    ...templates.flatMap(({ path, text }) => {
      const open = templateReferences(text).find((reference) => !isCovered(reference, key))
      if (open === undefined) return []
      const message = `"{${open}}" is not part of the cache’s key, so one caller would get the response to another's request; ${expectedFor(open)}`
      return [{ path: [policy, ...path], message }]
    }),
    ...selectsBy.flatMap(({ path, text }) => {
      const attribute = parseRequestAttribute(text)
      if (attribute === undefined || isPartOf(key, attribute)) return []
      const expected =
        attribute.kind === 'header' ? `expected "${attribute.name}" among its "headers"` : expectedFor(text)
      const message = `"${text}" is not part of the cache’s key, so the selection for one caller would apply to all; ${expected}`
      return [{ path: [policy, ...path], message }]
    }),
  ])
}

function isPartOf(key: CacheKeyConfig, attribute: RequestAttribute): boolean {
  if (attribute.kind === 'header') return key.headers.includes(attribute.name)
  return attribute.kind === 'jwt' && isCovered(`jwt.${attribute.name}`, key)
}

/** The id and the method of a request do not make its response private: the id is for logs, the method is GET. */
function isCovered(reference: string, { identity, tenantClaim = 'tenant' }: CacheKeyConfig): boolean {
  if (reference.startsWith('client.')) return false
  if (!reference.startsWith('jwt.')) return true
  return identity === 'sub' || (identity === 'tenant' && reference === `jwt.${tenantClaim}`)
}

const expectedFor = (reference: string): string =>
  reference.startsWith('jwt.')
    ? 'expected "cache": { "key": { "identity": "sub" } }'
    : 'expected no such reference beside "cache"'
