import type { Identity } from '../core/exchange.ts'
import { compileClaimPath } from '../lib/claim-path.ts'
import { encodeHeaderValue } from '../lib/header.ts'
import type { Authenticated, HeaderPairs } from './authenticator.ts'

/** What origins are told of the caller unless a route says otherwise: header → where its value comes from. */
export const DEFAULT_IDENTITY_HEADERS: Readonly<Record<string, string>> = {
  'x-auth-subject': 'sub',
  'x-auth-issuer': 'iss',
  'x-auth-scopes': '$scopes',
  'x-auth-roles': '$roles',
}

/**
 * Compiles header → source into a maker of [name, value] pairs, made once for a caller and kept with it. A source is
 * `$scopes` (joined by spaces), `$roles` (by commas) or a claim's path; a list is joined by commas, and a claim that is
 * missing, empty or an object makes no header.
 */
export function compileIdentityHeaders(
  sources: Readonly<Record<string, string>>,
): (caller: Authenticated) => HeaderPairs {
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

function compileSource(source: string): (identity: Identity) => string {
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

/** The separators too: no role may look like two. */
function encodeItem(text: string): string {
  return text.toWellFormed().replace(/[^!-$&-+\--~]/gu, encodeURIComponent)
}
