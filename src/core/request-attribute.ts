import * as z from 'zod/mini'
import { expected } from '../config/schema/scalars.ts'
import { isHeaderName } from '../lib/header.ts'
import { networkOf } from '../lib/ip.ts'
import type { Exchange, Identity } from './exchange.ts'

/** One attribute of a request: a part of a limiter's `key`, the key of consistent hashing, or what a split is sticky on. */
export type RequestAttribute =
  | { readonly kind: 'ip' | 'route' | 'apiKey' }
  | { readonly kind: 'jwt' | 'header' | 'param' | 'const'; readonly name: string }

/** The notations of the attributes in routes.json, for messages. */
export const REQUEST_ATTRIBUTES = [
  'client.ip',
  'jwt.<claim>',
  'apiKey.id',
  'header:<name>',
  'param:<name>',
  'route',
  'const:<text>',
] as const

/** `client.ip`, `jwt.sub`, `header:x-tenant` …; undefined for anything else. */
export function parseRequestAttribute(text: string): RequestAttribute | undefined {
  if (text === 'client.ip') return { kind: 'ip' }
  if (text === 'route') return { kind: 'route' }
  if (text === 'apiKey.id') return { kind: 'apiKey' }
  const [, kind, name = ''] = /^(jwt(?=\.)|header(?=:)|param(?=:)|const(?=:)).(.+)$/.exec(text) ?? []
  if (kind === 'jwt' || kind === 'param' || kind === 'const') return { kind, name }
  return kind === 'header' && isHeaderName(name) ? { kind, name: name.toLowerCase() } : undefined
}

/** `text` after its length, so that no two lists of texts are equal when they are concatenated. */
export function lengthPrefixed(text: string): string {
  return `${text.length}:${text}`
}

/** Compiles an attribute into its reader, which gives undefined or `''` where the request lacks it. */
export function compileRequestAttribute(attribute: RequestAttribute): (x: Exchange) => string | undefined {
  switch (attribute.kind) {
    case 'ip':
      return (x) => networkOf(x.client.ip)
    case 'route':
      return (x) => x.route
    case 'apiKey':
      return (x) => x.identity?.keyId
    case 'jwt':
      return attribute.name === 'sub' ? (x) => callerOf(x.identity) : compileClaim(attribute.name)
    case 'header':
      return (x) => x.headers[attribute.name]
    case 'param':
      return (x) => x.params[attribute.name]
    case 'const':
      return () => attribute.name
  }
}

/** A subject is unique only within its issuer (RFC 7519 §4.1.2). */
function callerOf(identity: Identity | undefined): string | undefined {
  return identity?.subject ? lengthPrefixed(identity.issuer) + identity.subject : undefined
}

function compileClaim(path: string): (x: Exchange) => string | undefined {
  const claim = compileClaimPath(path)
  return (x) => x.identity && claimText(claim(x.identity.claims))
}

/** A claim of one value as text; undefined for lists and objects. */
export function claimText(claim: unknown): string | undefined {
  return typeof claim === 'string' || typeof claim === 'number' || typeof claim === 'boolean'
    ? String(claim)
    : undefined
}

/** Whether a text names an attribute that stays the same for one caller. */
const isSticky = (text: string) => /^(?:ip|jwt|header)$/.test(parseRequestAttribute(text)?.kind ?? '')

/** The schema of an attribute by which each caller keeps one choice: `client.ip`, `jwt.<claim>` or `header:<name>`. */
export const stickyKey = z
  .string()
  .check(z.refine(isSticky, expected('expected "client.ip", "jwt.<claim>" (such as "jwt.sub") or "header:<name>"')))

/** The members of a token's payload. */
export type TokenClaims = Readonly<Record<string, unknown>>

/**
 * Compiles `"tenant"` or `"realm_access.roles"` into a reader of that claim; undefined where there is none.
 * A claim whose whole name is the path comes first, because names such as `https://id.example/roles` hold dots; else each dot descends.
 * Only own members are read: `__proto__` and `constructor` are names like any other.
 */
export function compileClaimPath(path: string): (claims: TokenClaims) => unknown {
  const steps = path.split('.')
  return (claims) => {
    if (Object.hasOwn(claims, path)) return claims[path]
    let value: unknown = claims
    for (const step of steps) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return undefined
      value = (value as TokenClaims)[step]
    }
    return value
  }
}

const CLAIM_PATH = /^(?!\$(?:\.|$))[^\s.[\]{}"'*]+(?:\.[^\s.[\]{}"'*]+)*$/

/** Whether `path` is a name, or several joined by dots. `a[0]`, `$.a` and `*` of other notations are refused: `compileClaimPath` does not interpret them. */
export function isClaimPath(path: string): boolean {
  return CLAIM_PATH.test(path)
}
