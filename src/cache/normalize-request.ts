import type { Exchange } from '../core/exchange.ts'
import type { RouteFacts } from '../core/policy.ts'
import type { CacheConfig } from './config.ts'
import type { Fields } from './http/entry.ts'
import { hostOf, normalCodings, pairsOf, queryFieldName } from './key.ts'

/**
 * Fields that browsers and proxies send with every request, and fields that control caches. A shared response must not depend on them, so
 * they are stripped unless the Vary of the origin names them.
 */
const ORDINARY =
  /^(?:accept(?:-charset|-encoding|-language)?|accept-ch|ua|user-agent|referer|origin|from|via|dnt|priority|save-data|upgrade-insecure-requests|cache-control|pragma|max-forwards|cdn-loop|content-(?:digest|length|type)|signature(?:-input)?|(?:sec|cf|x-b3|x-amzn)-.*|x-(?:request|correlation)-id|b3|traceparent|tracestate|baggage|device-memory|downlink|dpr|ect|rtt|viewport-width|width)$/
/** Evaluated against the stored response; the origin is requested to send the whole response. */
const CONDITION = /^(?:if-.*|range)$/
/** In every key, or overwritten by the gateway. */
const OWN = /^(?:host|x-forwarded-(?:for|proto|host|port|prefix))$/
/** Not stripped with the other unkeyed fields: without its credentials a client would get another response. */
const CREDENTIAL = /^(?:cookie|authorization)$/

const BEARER = new Set(['jwt', 'introspection'])

/** A request to an origin, reduced to what its stored response may depend on. */
export interface NormalizedRequest {
  /** The request headers before the reduction, by which Vary selects. */
  readonly seen: Fields
  /** The fields that are not forwarded, by name. */
  readonly stripped: ReadonlyMap<string, string>
  /** The client's fields that are forwarded although the key does not cover them. The response is stored only if its Vary names all of them. */
  readonly unkeyed: readonly string[]
  /** The fields that are forwarded because the Vary of an earlier response named them. A response whose Vary omits one is not stored either. */
  readonly forwarded: string[]
}

type CacheFacts = Pick<RouteFacts, 'querySet' | 'headersSet' | 'authProviders'>

/** Compiles the reduction of an outgoing GET or HEAD; `varies` are the fields that the Vary of a stored response named. */
export function compileNormalizeRequest(
  { key }: Pick<CacheConfig, 'key'>,
  facts: CacheFacts,
): (x: Exchange, varies: readonly string[]) => NormalizedRequest {
  const isCovered = compileCoverage(key, facts)
  const isStripped = compileStripping(key)
  const query = key.query && new Set([...key.query, ...facts.querySet])
  return (x, varies) => {
    const { outgoing } = x
    const { headers } = outgoing
    const seen = seenBy({ ...headers })
    const stripped = new Map<string, string>()
    const unkeyed: string[] = []
    const forwarded: string[] = []
    for (const name of Object.keys(headers)) {
      if (CONDITION.test(name)) delete headers[name]
      else if (isCovered(name, x)) continue
      else if (varies.includes(name)) forwarded.push(name)
      else if (isStripped(name, x)) {
        stripped.set(name, headers[name]!)
        delete headers[name]
      } else if (!OWN.test(name)) unkeyed.push(name)
    }
    // Spelled as in the key: a response for `EXAMPLE.com:80` is also served for `example.com`.
    if (headers['x-forwarded-host'] === x.client.host) headers['x-forwarded-host'] = hostOf(x)
    const codings = seen.get('accept-encoding')
    if (codings === null) delete headers['accept-encoding']
    else headers['accept-encoding'] = codings
    if (query !== undefined && outgoing.search !== '') outgoing.search = onlyFields(query, outgoing.search)
    return { seen, stripped, unkeyed, forwarded }
  }
}

/** Compiles which fields are forwarded without a condition: those in the key, those of the gateway, and those that the route trusts. */
function compileCoverage(
  { headers, forward, unkeyed }: CacheConfig['key'],
  { headersSet, authProviders }: CacheFacts,
): (name: string, x: Exchange) => boolean {
  const covered = new Set(['accept-encoding', ...headers, ...forward, ...headersSet])
  const bearers = new Set(Object.keys(authProviders).filter((name) => BEARER.has(authProviders[name]!.type)))
  // A bearer token that established the identity is covered: the identity is in the key, or the origin has to mark the response as shared.
  // Beside another credential the token may not have been verified.
  const isCaller = ({ identity }: Exchange) => identity !== undefined && bearers.has(identity.provider)
  return (name, x) => {
    // A field that the client has not sent comes from the gateway.
    if (covered.has(name) || !x.request.headers.has(name)) return true
    return name === 'authorization' ? isCaller(x) : unkeyed === 'trust'
  }
}

function compileStripping({ unkeyed }: CacheConfig['key']): (name: string, x: Exchange) => boolean {
  if (unkeyed !== 'strip') return (name) => ORDINARY.test(name)
  return (name, { headers, outgoing }) => {
    // A value that a policy has changed is not the client's alone.
    const isClients = headers[name] === outgoing.headers[name]
    return ORDINARY.test(name) || (isClients && !OWN.test(name) && !CREDENTIAL.test(name))
  }
}

/** Restores the stripped fields that the Vary of the origin names; true when there was one. */
export function restore(
  { outgoing }: Exchange,
  { stripped, forwarded }: NormalizedRequest,
  names: readonly string[],
): boolean {
  let restored = false
  for (const name of names) {
    const value = stripped.get(name)
    if (value === undefined || name === 'accept-encoding') continue
    outgoing.headers[name] = value
    forwarded.push(name)
    restored = true
  }
  return restored
}

/** The fields by which stored answers are selected, of a request that goes out with `headers`. */
export function seenBy(headers: Readonly<Record<string, string>>): Fields {
  return {
    get(name) {
      const value = Object.hasOwn(headers, name) ? headers[name]! : null
      return name === 'accept-encoding' ? normalCodings(value) || null : value
    },
  }
}

function onlyFields(names: ReadonlySet<string>, search: string): string {
  const kept = pairsOf(search).filter((pair) => names.has(queryFieldName(pair)))
  return kept.length === 0 ? '' : `?${kept.join('&')}`
}
