import type { Exchange } from '../core/exchange.ts'
import type { RouteFacts } from '../core/policy.ts'
import type { CacheConfig } from './config.ts'
import type { Fields } from './http/entry.ts'
import { hostOf, normalCodings, pairsOf, queryFieldName } from './key.ts'

/**
 * What browsers and proxies send with everything, and what steers caches: an answer for many cannot depend on it, so the origin is not
 * told, unless its Vary says that it wants to know.
 */
const ORDINARY =
  /^(?:accept(?:-charset|-encoding|-language)?|accept-ch|ua|user-agent|referer|origin|from|via|dnt|priority|save-data|upgrade-insecure-requests|cache-control|pragma|max-forwards|cdn-loop|content-(?:digest|length|type)|signature(?:-input)?|(?:sec|cf|x-b3|x-amzn)-.*|x-(?:request|correlation)-id|b3|traceparent|tracestate|baggage|device-memory|downlink|dpr|ect|rtt|viewport-width|width)$/
/** Evaluated against what is stored; the origin is asked for the whole of the answer. */
const CONDITION = /^(?:if-.*|range)$/
/** In every key, or written by the gateway whatever the client sent under these names. */
const OWN = /^(?:host|x-forwarded-(?:for|proto|host))$/

const BEARER = new Set(['jwt', 'introspection'])

/** A request to an origin that says only what its stored answer may depend on. */
export interface NormalizedRequest {
  /** The request headers as they were, by which Vary selects. */
  readonly seen: Fields
  /** Those that the origin is not told. */
  readonly withheld: ReadonlyMap<string, string>
  /** The client's fields that no key covers and that the origin sees: only if its Vary names all of them may the answer be stored. */
  readonly unkeyed: readonly string[]
  /** Those that it sees because an earlier answer's Vary named them. An answer whose Vary does not must not be stored either. */
  readonly told: string[]
}

/** Compiles how an outgoing GET or HEAD is narrowed; `varies` are the fields that a stored answer's Vary named. */
export function compileNormalizeRequest(
  { key }: Pick<CacheConfig, 'key'>,
  { querySet, headersSet, authProviders }: Pick<RouteFacts, 'querySet' | 'headersSet' | 'authProviders'>,
): (x: Exchange, varies: readonly string[]) => NormalizedRequest {
  const keyed = new Set(key.headers)
  const set = new Set(headersSet)
  const bearers = new Set(Object.keys(authProviders).filter((name) => BEARER.has(authProviders[name]!.type)))
  // Who is calling is in the key, or the origin has to say that its answer is for everybody: if it is this field that tells who. Beside
  // another credential that does, nobody may have looked at it.
  const isCaller = (name: string, { identity }: Exchange) =>
    name === 'authorization' && identity !== undefined && bearers.has(identity.provider)
  const query = key.query && new Set([...key.query, ...querySet])
  return (x, varies) => {
    const { outgoing, request } = x
    const { headers } = outgoing
    const seen = seenBy({ ...headers })
    const withheld = new Map<string, string>()
    const unkeyed: string[] = []
    const told: string[] = []
    for (const name of Object.keys(headers)) {
      if (CONDITION.test(name)) delete headers[name]
      // What the client has not sent is the gateway's own.
      else if (keyed.has(name) || set.has(name) || !request.headers.has(name) || isCaller(name, x)) continue
      else if (varies.includes(name)) told.push(name)
      else if (ORDINARY.test(name)) {
        withheld.set(name, headers[name]!)
        delete headers[name]
      } else if (!OWN.test(name)) unkeyed.push(name)
    }
    // As the key has it: `EXAMPLE.com:80` must not come back to those who have asked `example.com`.
    if (headers['x-forwarded-host'] === x.client.host) headers['x-forwarded-host'] = hostOf(x)
    const codings = seen.get('accept-encoding')
    if (codings === null) delete headers['accept-encoding']
    else headers['accept-encoding'] = codings
    if (query !== undefined && outgoing.search !== '') outgoing.search = onlyFields(query, outgoing.search)
    return { seen, withheld, unkeyed, told }
  }
}

/** Tells the origin the fields that its Vary names; true when there was one that it had not been told. */
export function restore(
  { outgoing }: Exchange,
  { withheld, told }: NormalizedRequest,
  names: readonly string[],
): boolean {
  let restored = false
  for (const name of names) {
    const value = withheld.get(name)
    if (value === undefined || name === 'accept-encoding') continue
    outgoing.headers[name] = value
    told.push(name)
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
