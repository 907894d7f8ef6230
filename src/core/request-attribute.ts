import type { Exchange, Identity } from './exchange.ts'
import { compileClaimPath } from '../lib/claim-path.ts'
import { isHeaderName } from '../lib/header.ts'

/** What a request is told apart by: one part of a limiter's `key`, what a hash balances on, what a split sticks to. */
export type RequestAttribute =
  | { readonly kind: 'ip' | 'route' | 'apiKey' }
  | { readonly kind: 'jwt' | 'header' | 'param' | 'const'; readonly name: string }

/** How the parts are written in routes.json, for messages. */
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

/** `text` with its length in front, so that no two lists of texts look the same side by side. */
export function lengthPrefixed(text: string): string {
  return `${text.length}:${text}`
}

/** Compiles a part into its reader; undefined or `''` where the request has no such thing. */
export function compileRequestAttribute(part: RequestAttribute): (x: Exchange) => string | undefined {
  switch (part.kind) {
    case 'ip':
      return (x) => network(x.client.ip)
    case 'route':
      return (x) => x.route
    case 'apiKey':
      return (x) => x.identity?.keyId
    case 'jwt':
      return part.name === 'sub' ? (x) => caller(x.identity) : compileClaim(part.name)
    case 'header':
      return (x) => x.headers[part.name]
    case 'param':
      return (x) => x.params[part.name]
    case 'const':
      return () => part.name
  }
}

/** A subject is unique only within its issuer (RFC 7519 §4.1.2). */
function caller(identity: Identity | undefined): string | undefined {
  return identity?.subject ? lengthPrefixed(identity.issuer) + identity.subject : undefined
}

function compileClaim(path: string): (x: Exchange) => string | undefined {
  const claim = compileClaimPath(path)
  return (x) => x.identity && claimText(claim(x.identity.claims))
}

/** A claim that can be told apart as text; undefined for lists and objects. */
export function claimText(claim: unknown): string | undefined {
  return typeof claim === 'string' || typeof claim === 'number' || typeof claim === 'boolean'
    ? String(claim)
    : undefined
}

/** Of canonical addresses: IPv4 as it is; of IPv6 the first 64 bits, for a client may use all addresses below them. */
function network(ip: string): string {
  if (!ip.includes(':')) return ip
  const [head = '', tail] = ip.split('::')
  const groups = head.split(':')
  if (tail !== undefined && groups.length < 4) {
    const last = tail.split(':')
    while (groups.length + last.length < 8) groups.push('0')
    groups.push(...last)
  }
  return groups.slice(0, 4).join(':')
}
