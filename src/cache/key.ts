import { createHash } from 'node:crypto'
import type { Exchange } from '../core/exchange.ts'
import { compileRequestAttribute, lengthPrefixed } from '../core/request-attribute.ts'
import { rawSearch } from '../lib/canonical-path.ts'
import type { CacheKeyConfig } from './config.ts'
import { normalValue } from './http/entry.ts'

/** The key of a stored response. */
export interface CacheKey {
  /** SHA-256 in hex: of fixed length, and no tier can read the caller from it. */
  readonly hash: string
  /** Scheme, host, path and keyed query: what purges are compared with (`StoredHead.url`). */
  readonly url: string
}

/** Compiles the function that makes the key of a request. It gives undefined for a request without the claim that the identity part needs: such a request is not cached. */
export function compileCacheKey(config: CacheKeyConfig, route: string): (x: Exchange) => CacheKey | undefined {
  const queryOf = compileKeyedQuery(config.query)
  const identityOf = compileIdentity(config)
  const { headers } = config
  const hashOf = rememberHashes()
  // The configuration is part of the key, because it decides what the other parts mean.
  const scope = lengthPrefixed(JSON.stringify([route, config]))
  return (x) => {
    const identity = identityOf(x)
    if (identity === undefined) return undefined
    const url = siteOf(x) + x.path + queryOf(x)
    const { port = null, prefix = null } = x.client
    let text = scope + lengthPrefixed(url) + identity + fieldText('', port) + fieldText('', prefix)
    for (const name of headers) text += fieldText(name, x.headers[name] ?? null)
    return { hash: hashOf(text), url }
  }
}

/** A hash costs as much as reading ten header fields: those of the last texts are kept. */
const MAX_HASHES = 1_000

function rememberHashes(): (text: string) => string {
  let recent = new Map<string, string>()
  let older = new Map<string, string>()
  return (text) => {
    const known = recent.get(text) ?? older.get(text)
    const hash = known ?? createHash('sha256').update(text).digest('hex')
    if (recent.size >= MAX_HASHES) [older, recent] = [recent, new Map()]
    recent.set(text, hash)
    return hash
  }
}

/** An absent field and an empty field have different texts. */
const fieldText = (name: string, value: string | null): string =>
  value === null ? '-' : lengthPrefixed(normalValue(name, value))

/** `https://api.example.com`: the scheme and host of a request, without the default port of the scheme. */
export function siteOf(x: Pick<Exchange, 'client'>): string {
  return `${x.client.scheme}://${hostOf(x)}`
}

/** Normalizes a host: `EXAMPLE.com.:80` is `example.com`, so that a purge of one spelling matches all. */
export function hostOf({ client: { scheme, host } }: Pick<Exchange, 'client'>): string {
  const name = host.toLowerCase().replace(scheme === 'https' ? /:443$/ : /:80$/, '')
  return name.replace(/\.(?=:\d+$|$)/, '')
}

/** Compiles the function that reads the keyed part of the client's query, with its `?`: the whole query, or the named fields in one order. */
function compileKeyedQuery(names: readonly string[] | undefined): (x: Exchange) => string {
  if (names === undefined) return (x) => normalSearch(rawSearch(x.request.url))
  if (names.length === 0) return () => ''
  const order = new Map(names.toSorted().map((name, i) => [name, i]))
  return (x) => {
    const search = rawSearch(x.request.url)
    if (search.length <= 1) return ''
    const pairs = pairsOf(search).flatMap((pair) => {
      const place = order.get(queryFieldName(pair))
      return place === undefined ? [] : [{ pair, place }]
    })
    // The order of the values of one field stays, because it may be significant.
    pairs.sort((a, b) => a.place - b.place)
    return pairs.length === 0 ? '' : `?${pairs.map(({ pair }) => pair).join('&')}`
  }
}

const normalSearch = (search: string): string => (search === '?' ? '' : search)

/** The pairs of a query, without the empty ones. */
export function pairsOf(search: string): string[] {
  return search.length > 1
    ? search
        .slice(1)
        .split('&')
        .filter((pair) => pair !== '')
    : []
}

/** A pair's name as an origin reads it: `%64ebug` is `debug`. */
export function queryFieldName(pair: string): string {
  const end = pair.indexOf('=')
  const name = end === -1 ? pair : pair.slice(0, end)
  return /[%+]/.test(name) ? new URLSearchParams(`=${name}`).get('')! : name
}

/** The identity part of the key, as text; `''` when all callers share responses. Scopes and roles are part of it, because tokens of one caller may differ in what they allow. */
function compileIdentity({ identity, tenantClaim = 'tenant' }: CacheKeyConfig): (x: Exchange) => string | undefined {
  if (identity === undefined || identity === 'none') return () => ''
  const ownerOf = compileRequestAttribute({ kind: 'jwt', name: identity === 'sub' ? 'sub' : tenantClaim })
  return (x) => {
    const name = ownerOf(x)
    if (!name) return undefined
    const { issuer, scopes, roles } = x.identity!
    return `${identity}:${[issuer, name, ...listed(scopes), ...listed(roles)].map(lengthPrefixed).join('')}`
  }
}

const listed = (names: readonly string[]): string[] => [String(names.length), ...names.toSorted()]

const CODINGS = ['br', 'deflate', 'gzip', 'zstd']

/** `gzip;q=0.8, BR, x` → `br, gzip`: the codings that origins use, in one order, so that browsers share responses; `''` for none. */
export function normalCodings(field: string | null): string {
  if (field === null) return ''
  const accepted = new Set(
    field
      .toLowerCase()
      .split(',')
      .filter((item) => !/;\s*q=0(?:\.0*)?\s*$/.test(item))
      .map((item) => item.split(';', 1)[0]!.trim()),
  )
  return CODINGS.filter((coding) => accepted.has(coding)).join(', ')
}
