import { createHash } from 'node:crypto'
import type { Exchange, Identity } from '../exchange.ts'
import { compileClaimPath } from '../lib/claim-path.ts'
import { isHeaderName } from '../lib/header.ts'

/** One part of a limiter's `key`. */
export type KeyPart =
  { readonly kind: 'ip' | 'route' } | { readonly kind: 'jwt' | 'header' | 'param' | 'const'; readonly name: string }

/** How the parts are written in routes.json, for messages. */
export const KEY_PARTS = ['client.ip', 'jwt.<claim>', 'header:<name>', 'param:<name>', 'route', 'const:<text>'] as const

/** `client.ip`, `jwt.sub`, `header:x-tenant` …; undefined for anything else. */
export function parseKeyPart(text: string): KeyPart | undefined {
  if (text === 'client.ip') return { kind: 'ip' }
  if (text === 'route') return { kind: 'route' }
  const [, kind, name = ''] = /^(jwt(?=\.)|header(?=:)|param(?=:)|const(?=:)).(.+)$/.exec(text) ?? []
  if (kind === 'jwt' || kind === 'param' || kind === 'const') return { kind, name }
  return kind === 'header' && isHeaderName(name) ? { kind, name: name.toLowerCase() } : undefined
}

/** Keys longer than this are hashed in local limiters too, so that a client cannot fill the memory with long ones. */
const LONGEST_PLAIN_KEY = 256

/**
 * Compiles what a limiter counts by: `scope`, which no other limiter has, and the values of `parts`, each with its length in front, so that
 * no two different lists of values make the same key. `hashed` keys are SHA-256 in hex: a store never sees who the caller is.
 * A request that lacks a value is counted by the scope alone, together with all others that do, and `missing` is called.
 */
export function compileKey(
  scope: readonly string[],
  parts: readonly KeyPart[],
  options: { hashed: boolean; missing: () => void },
): (x: Exchange) => string {
  const prefix = scope.map(lengthPrefixed).join('')
  const readers = parts.map(compilePart)
  const finish = (key: string) => (options.hashed || key.length > LONGEST_PLAIN_KEY ? sha256(key) : key)
  return (x) => {
    let key = prefix
    for (const read of readers) {
      const value = read(x)
      if (!value) {
        options.missing()
        return finish(prefix)
      }
      key += lengthPrefixed(value)
    }
    return finish(key)
  }
}

function lengthPrefixed(text: string): string {
  return `${text.length}:${text}`
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function compilePart(part: KeyPart): (x: Exchange) => string | undefined {
  switch (part.kind) {
    case 'ip':
      return (x) => network(x.client.ip)
    case 'route':
      return (x) => x.route
    case 'jwt':
      return part.name === 'sub' ? (x) => caller(x.identity) : compileClaim(part.name)
    case 'header':
      return (x) => x.request.headers.get(part.name) ?? undefined
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

function claimText(claim: unknown): string | undefined {
  return typeof claim === 'string' || typeof claim === 'number' || typeof claim === 'boolean'
    ? String(claim)
    : undefined
}

/** An IPv4 address as it is; of a canonical IPv6 address the first 64 bits, for a client may use all addresses below them. */
function network(ip: string): string {
  if (!ip.includes(':') || ip.startsWith('::ffff:')) return ip
  const [head = '', tail] = ip.split('::')
  const groups = head.split(':')
  if (tail !== undefined && groups.length < 4) {
    const last = tail.split(':')
    while (groups.length + last.length < 8) groups.push('0')
    groups.push(...last)
  }
  return groups.slice(0, 4).join(':')
}
