import { createHash } from 'node:crypto'
import type { Exchange } from '../core/exchange.ts'
import { compileRequestAttribute, lengthPrefixed } from '../core/request-attribute.ts'
import { rawSearch } from '../lib/canonical-path.ts'
import type { CacheKeyConfig } from './config.ts'

/** By what an answer is found again. */
export interface CacheKey {
  /** SHA-256 in hex: bounded, and no tier learns who asked. */
  readonly hash: string
  /** Scheme, host, path and keyed query: what purges look at (`StoredHead.url`). */
  readonly url: string
}

/** Compiles how a request's key is made; undefined for a request that lacks what its identity part needs, which shares nothing. */
export function compileCacheKey(config: CacheKeyConfig, route: string): (x: Exchange) => CacheKey | undefined {
  const queryOf = compileKeyedQuery(config.query)
  const identityOf = compileIdentity(config)
  const { headers } = config
  // What the same texts mean: a later release may read others.
  const scope = lengthPrefixed(JSON.stringify([route, config]))
  return (x) => {
    const identity = identityOf(x)
    if (identity === undefined) return undefined
    const url = siteOf(x) + x.path + queryOf(x)
    let text = scope + lengthPrefixed(url) + identity
    const sent = x.request.headers
    for (const name of headers) text += fieldText(sent.get(name))
    text += normalCodings(sent.get('accept-encoding'))
    return { hash: createHash('sha256').update(text).digest('hex'), url }
  }
}

/** Absent and empty are two things. */
const fieldText = (value: string | null): string => (value === null ? '-' : lengthPrefixed(value))

/** `https://api.example.com`: where a request was sent to, without the port that its scheme has anyway. */
export function siteOf(x: Pick<Exchange, 'client'>): string {
  return `${x.client.scheme}://${hostOf(x)}`
}

/** One spelling of a host: `EXAMPLE.com.:80` is `example.com`, for a purge of the one must reach what was asked as the other. */
export function hostOf({ client: { scheme, host } }: Pick<Exchange, 'client'>): string {
  const name = host.toLowerCase().replace(scheme === 'https' ? /:443$/ : /:80$/, '')
  return name.replace(/\.(?=:\d+$|$)/, '')
}

/** Reads the part of the client's query that tells answers apart, with its `?`: the whole of it, or the named fields in one order. */
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
    // The order of a field's own values stays: it may mean something.
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

/** Who shares an answer, as text; `''` for everybody. Scopes and roles are part of it: a caller may have tokens that can do less. */
function compileIdentity({ identity, tenantClaim = 'tenant' }: CacheKeyConfig): (x: Exchange) => string | undefined {
  if (identity === undefined || identity === 'none') return () => ''
  const owner = compileRequestAttribute({ kind: 'jwt', name: identity === 'sub' ? 'sub' : tenantClaim })
  return (x) => {
    const name = owner(x)
    if (!name) return undefined
    const { issuer, scopes, roles } = x.identity!
    return `${identity}:${[issuer, name, ...listed(scopes), ...listed(roles)].map(lengthPrefixed).join('')}`
  }
}

const listed = (names: readonly string[]): string[] => [String(names.length), ...names.toSorted()]

const CODINGS = ['br', 'deflate', 'gzip', 'zstd']

/** `gzip;q=0.8, BR, x` → `br, gzip`: the codings that origins use, in one order, so that browsers share answers; `''` for none. */
export function normalCodings(field: string | null): string {
  if (field === null) return ''
  const taken = new Set(
    field
      .toLowerCase()
      .split(',')
      .filter((item) => !/;\s*q=0(?:\.0*)?\s*$/.test(item))
      .map((item) => item.split(';', 1)[0]!.trim()),
  )
  return CODINGS.filter((coding) => taken.has(coding)).join(', ')
}
