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

const claimName = z.string().check(z.minLength(1, 'expected the name of a claim'))

/** The schema of a claim's path: names joined by dots, or an array of names. */
export const claimPath = z.union(
  [claimName, z.array(claimName).check(z.minLength(1, 'expected at least one name'))],
  expected(
    'expected a claim such as "realm_access.roles", or an array of names such as ["https://example.com/claims", "roles"]',
  ),
)

/** `"realm_access.roles"`, or each name by itself: `["https://example.com/claims", "roles"]`. */
export type ClaimPath = string | readonly string[]

/**
 * Compiles `"tenant"`, `"realm_access.roles"` or an array of names into a reader of that claim; undefined where there is none.
 * Names such as `app.example.com` hold dots, so in a text the longest name that an object has comes first, and a shorter one where it leads nowhere.
 * Only own members are read: `__proto__` and `constructor` are names like any other.
 */
export function compileClaimPath(path: ClaimPath): (claims: TokenClaims) => unknown {
  const names = typeof path === 'string' ? path.split('.') : path
  if (names.length === 1) {
    const [name] = names as [string]
    return (claims) => (Object.hasOwn(claims, name) ? claims[name] : undefined)
  }
  const steps = names.map((_, start) =>
    typeof path === 'string' ? namesFrom(names, start) : [step(names, start, start + 1)],
  )
  return (claims) => readSteps(claims, steps, 0)
}

/** One own name of an object on the way to a claim, and the index of the step after it. */
interface ClaimStep {
  readonly name: string
  readonly next: number
}

const step = (names: readonly string[], start: number, next: number): ClaimStep => ({
  name: names.slice(start, next).join('.'),
  next,
})

/** The names that can begin at `start`, the longest first. */
function namesFrom(names: readonly string[], start: number): ClaimStep[] {
  return names.slice(start).map((_, index) => step(names, start, names.length - index))
}

/** Visits no object twice, so that its time is bounded by the size of the claims. */
function readSteps(value: unknown, steps: readonly (readonly ClaimStep[])[], at: number): unknown {
  if (at === steps.length) return value
  if (typeof value !== 'object' || value === null) return undefined
  for (const { name, next } of steps[at]!) {
    if (!Object.hasOwn(value, name)) continue
    const found = readSteps((value as TokenClaims)[name], steps, next)
    if (found !== undefined) return found
  }
  return undefined
}

const CLAIM_PATH = /^(?!\$(?:\.|$))[^\s.[\]{}"'*]+(?:\.[^\s.[\]{}"'*]+)*$/

/** Whether `path` is a name, or several joined by dots. `a[0]`, `$.a` and `*` of other notations are refused: `compileClaimPath` does not interpret them. */
export function isClaimPath(path: string): boolean {
  return CLAIM_PATH.test(path)
}
