import * as z from 'zod/mini'
import type { Authenticated, HeaderPairs } from '../auth/authenticator.ts'
import { authenticatorOf } from '../auth/authenticators.ts'
import { forbid, refuse } from '../auth/challenge.ts'
import { allOf, anyOf, compileAuthorization } from '../auth/combined.ts'
import { compileRevocationCheck } from '../auth/revocation/revocation-check.ts'
import { expectedOneOf } from '../config/schema/diagnostic.ts'
import { choice, distinct, doc, headerRecord } from '../config/schema/scalars.ts'
import type { Exchange, Identity } from '../core/exchange.ts'
import { definePolicy } from '../core/policy.ts'
import type { ProblemCode } from '../core/problem.ts'
import { claimPath, compileClaimPath, type ClaimPath } from '../core/request-attribute.ts'
import { encodeHeaderValue } from '../lib/header.ts'

/** The default of `identityHeaders`: header sent to the origin → source of its value. */
const DEFAULT_IDENTITY_HEADERS = { 'x-auth-subject': 'sub', 'x-auth-scopes': '$scopes' } as const
/** Those that are sent by default to upstreams whose `tell` names them. */
const TOLD_IDENTITY_HEADERS = { 'x-auth-issuer': 'iss', 'x-auth-roles': '$roles' } as const

const text = z.string().check(z.minLength(1))
const scope = z.string().check(z.regex(/^[!#-[\]-~]+$/, 'expected a scope: no spaces, quotes or backslashes'))
const claimValue = z.union([z.string(), z.number(), z.boolean()], 'expected a string, a number, true or false')

const config = z.strictObject({
  providers: doc(
    z.array(z.string()).check(z.minLength(1, 'expected at least one auth provider'), distinct()),
    'Names of `authProviders`, in the order in which they are tried. A JWT is verified by the provider of its `iss`.',
  ),
  require: doc(
    z.prefault(choice(['any', 'all']), 'any'),
    'any: one of the providers must accept the request. all: each of them must accept the credentials that the request has for it; the caller, scopes, roles and claims are those of the first. Default any.',
  ),
  scopes: doc(z.prefault(z.array(scope), []), 'The caller must have all of these scopes. Default none.'),
  roles: doc(z.prefault(z.array(text), []), 'The caller must have at least one of these roles. Default none.'),
  claims: doc(
    z.prefault(z.record(text, z.union([claimValue, z.array(claimValue).check(z.minLength(1))])), {}),
    'The required values of claims: a value, or a list of allowed ones. Names of claims are joined by dots, and the longest name that an object has comes first; of a claim that is a list one element must match. Default none.',
  ),
  identityHeaders: z.optional(
    doc(
      headerRecord(claimPath),
      'Headers sent to the origin: name → `$scopes`, `$roles` or the path of a claim (names joined by dots, or an array of names). A client’s own copies are removed. Default x-auth-subject, x-auth-scopes, and x-auth-issuer, x-auth-roles where the upstream’s `tell` names them.',
    ),
  ),
})

type AuthConfig = z.output<typeof config>

/** Headers that frame, route or authenticate the message itself: a claim must not set them. */
const NOT_FOR_IDENTITY =
  /^(?:authorization|cookie|host|content-.*|transfer-encoding|connection|keep-alive|te|trailer|upgrade|expect|range|if-.*|forwarded|x-forwarded-.*|proxy-.*|traceparent|tracestate)$/

/** The headers that an origin trusts to come from the gateway: the route's own, and always the default ones. */
export function identityHeaderNames({ identityHeaders }: Pick<AuthConfig, 'identityHeaders'>): string[] {
  return Object.keys({ ...DEFAULT_IDENTITY_HEADERS, ...TOLD_IDENTITY_HEADERS, ...identityHeaders })
}

function defaultIdentityHeaders(told: readonly string[]): Readonly<Record<string, ClaimPath>> {
  const extra = Object.entries(TOLD_IDENTITY_HEADERS).filter(([name]) => told.includes(name))
  return { ...DEFAULT_IDENTITY_HEADERS, ...Object.fromEntries(extra) }
}

/** The policy `auth`: authenticates a request by the route's providers, authorizes it, and sends the identity to the origin. */
export const auth = definePolicy({
  name: 'auth',
  config,
  facts: ({ providers, require, roles, scopes }) => ({
    authentication: { providers, requiresAll: require === 'all', roles, scopes },
  }),

  check: ({ providers, identityHeaders = {} }, { authProviders }) => [
    ...providers.flatMap((name, index) => {
      if (Object.hasOwn(authProviders, name)) return []
      const message = `no auth provider "${name}"; ${expectedOneOf(name, Object.keys(authProviders))}`
      return [{ path: ['providers', index], message }]
    }),
    ...Object.keys(identityHeaders)
      .filter((name) => NOT_FOR_IDENTITY.test(name))
      .map((name) => ({
        path: ['identityHeaders', name],
        message: 'expected a header of your own, such as x-user-id',
      })),
  ],

  injects: identityHeaderNames,

  compile({ providers, require, identityHeaders, ...rules }, platform, { toldHeaders }) {
    const authenticators = providers.map((name) => authenticatorOf(platform, name))
    const authenticator = require === 'all' ? allOf(authenticators, platform.now) : anyOf(authenticators, platform.now)
    const challenges = [...new Set(authenticators.map(({ challenge }) => challenge))]
    const refused = (code: ProblemCode) => Promise.resolve(refuse(code, challenges))
    if (!authenticator.configured) return () => () => refused('not-configured')

    const checkRevocation = compileRevocationCheck(platform)
    const authorize = compileAuthorization(rules)
    const headersOf = compileIdentityHeaders(identityHeaders ?? defaultIdentityHeaders(toldHeaders))
    const hiddenHeaders = authenticators.flatMap(({ hides }) => hides ?? [])
    const forbidden = (code: ProblemCode, { provider, scopes }: Identity) => {
      const { challenge, discloses } = authenticators.find(({ name }) => name === provider)!
      return Promise.resolve(forbid(code, challenge, discloses ? { ...rules, held: scopes } : undefined))
    }

    // Not async, and without a promise of its own for a caller in the credential cache: every request runs this.
    return (next) => {
      const forward = (x: Exchange, caller: Authenticated) => {
        const { identity } = caller
        const refusal = authorize(identity)
        if (refusal !== undefined) return forbidden(refusal, identity)
        x.identity = identity
        for (const name of hiddenHeaders) delete x.outgoing.headers[name]
        for (const [name, value] of headersOf(caller)) x.outgoing.headers[name] = value
        return next(x)
      }
      const admit = (x: Exchange, caller: Authenticated) => {
        const revoked = checkRevocation?.(caller, x)
        if (revoked === undefined) return forward(x, caller)
        if (typeof revoked === 'string') return refused(revoked)
        return revoked.then((code) => (code === undefined ? forward(x, caller) : refused(code)))
      }
      return (x) => {
        const cached = authenticator.recall(x, platform.now())
        if (cached !== undefined) return admit(x, cached)
        return authenticator
          .authenticate(x)
          .then((result) => (typeof result === 'object' ? admit(x, result) : refused(result ?? authenticator.missing)))
      }
    }
  },
})

/**
 * Compiles header → source into a function that makes [name, value] pairs, once for a caller, with which they are kept. A source is
 * `$scopes` (joined by spaces), `$roles` (by commas) or a claim's path; a list is joined by commas, and a claim that is
 * missing, empty or an object makes no header.
 */
function compileIdentityHeaders(sources: Readonly<Record<string, ClaimPath>>): (caller: Authenticated) => HeaderPairs {
  const key = JSON.stringify(sources)
  const readers = Object.entries(sources).map(([name, source]) => ({ name, read: compileSource(source) }))
  return (caller) => {
    if (caller.headers?.sources === key) return caller.headers.pairs
    const pairs = readers
      .map(({ name, read }) => [name, read(caller.identity)] as const)
      .filter(([, value]) => value !== '')
    caller.headers = { sources: key, pairs }
    return pairs
  }
}

function compileSource(source: ClaimPath): (identity: Identity) => string {
  if (source === '$scopes') return (identity) => identity.scopes.map(encodeItem).join(' ')
  if (source === '$roles') return (identity) => identity.roles.map(encodeItem).join(',')
  const read = compileClaimPath(source)
  return ({ claims }) => {
    const value = read(claims)
    return Array.isArray(value)
      ? value.map((item) => encodeItem(asText(item))).join(',')
      : encodeHeaderValue(asText(value))
  }
}

const asText = (value: unknown) =>
  typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : ''

/** Percent-encodes one item of a list, the separators too, so that one role cannot pass for two. */
function encodeItem(text: string): string {
  return text.toWellFormed().replace(/[^!-$&-+\--~]/gu, encodeURIComponent)
}
